// SPDX-License-Identifier: GPL-2.0
/*
 * Loading and unloading: an open file holds the module, whoever has it and
 * however it got there; what is left behind when nobody does.
 *
 * selftest: timeout=240
 */
#include "kselftest_harness.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

#include "flusher.h"
#include "module.h"

#define REFUSED (-EWOULDBLOCK)

FIXTURE(lifetime)
{
	int fd;
};

FIXTURE_SETUP(lifetime)
{
	if (!module_loaded())
		ASSERT_EQ(0, module_insert());
	self->fd = open(DEVICE, O_RDWR);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(lifetime)
{
	/* The other tests want it loaded, as it was. */
	if (!module_loaded())
		EXPECT_EQ(0, module_insert());
}

/* Rule: rmmod with an open file is refused, and the file goes on working. */
TEST_F(lifetime, open_file_holds)
{
	EXPECT_EQ(REFUSED, module_remove());
	EXPECT_TRUE(module_loaded());
	EXPECT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_SET_IO_FLUSHER, 1));
	EXPECT_EQ(1, raw_ioctl(self->fd, MEMSCOPE_IOC_GET_IO_FLUSHER, 0));
	EXPECT_EQ(REFUSED, module_remove());
	close(self->fd);
	EXPECT_EQ(0, module_remove());
	EXPECT_FALSE(module_loaded());
}

TEST_F(lifetime, each_open_holds)
{
	int second = open(DEVICE, O_RDONLY), third = open(DEVICE, O_WRONLY);

	ASSERT_LE(0, second);
	ASSERT_LE(0, third);
	close(self->fd);
	EXPECT_EQ(REFUSED, module_remove());
	close(third);
	EXPECT_EQ(REFUSED, module_remove());
	close(second);
	EXPECT_EQ(0, module_remove());
}

TEST_F(lifetime, dup_holds)
{
	int copy = dup(self->fd);

	ASSERT_LE(0, copy);
	close(self->fd);
	EXPECT_EQ(REFUSED, module_remove());
	EXPECT_EQ(0, raw_ioctl(copy, MEMSCOPE_IOC_GET_IO_FLUSHER, 0));
	close(copy);
	EXPECT_EQ(0, module_remove());
}

TEST_F(lifetime, fork_holds)
{
	struct keeper child;

	ASSERT_EQ(0, keep_files(&child));
	close(self->fd);
	EXPECT_EQ(REFUSED, module_remove());
	EXPECT_EQ(0, let_go(&child));
	EXPECT_EQ(0, module_remove());
}

/* Rule: a file that nobody but a dead process had does not hold, reaped or not. */
TEST_F(lifetime, dead_process_does_not_hold)
{
	siginfo_t info;
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		for (;;)
			pause();
	}
	close(self->fd);
	EXPECT_EQ(REFUSED, module_remove());
	ASSERT_EQ(0, kill(pid, SIGKILL));
	/* Dead, and left as a zombie. */
	ASSERT_EQ(0, waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
	EXPECT_EQ(0, module_remove());
	EXPECT_EQ(pid, waitpid(pid, NULL, 0));
}

static int send_fd(int socket, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = "", byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&msg);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	return sendmsg(socket, &msg, 0) == 1 ? 0 : -1;
}

static int receive_fd(int socket)
{
	char control[CMSG_SPACE(sizeof(int))] = "", byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *header;
	int fd;

	if (recvmsg(socket, &msg, 0) != 1)
		return -1;
	header = CMSG_FIRSTHDR(&msg);
	if (!header)
		return -1;
	memcpy(&fd, CMSG_DATA(header), sizeof(fd));
	return fd;
}

/* Rule: it holds also while only a message in flight has it. */
TEST_F(lifetime, passed_fd_holds)
{
	int pair[2], fd;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
	ASSERT_EQ(0, send_fd(pair[0], self->fd));
	close(self->fd);
	EXPECT_EQ(REFUSED, module_remove());
	fd = receive_fd(pair[1]);
	ASSERT_LE(0, fd);
	EXPECT_EQ(REFUSED, module_remove());
	EXPECT_EQ(0, raw_ioctl(fd, MEMSCOPE_IOC_GET_IO_FLUSHER, 0));

	/* And a message that is never received goes away with its socket. */
	ASSERT_EQ(0, send_fd(pair[0], fd));
	close(fd);
	EXPECT_EQ(REFUSED, module_remove());
	close(pair[0]);
	close(pair[1]);
	EXPECT_EQ(0, module_remove());
}

/* Rule: exec keeps the file, and so the module, unless it is close-on-exec. */
TEST_F(lifetime, exec_holds)
{
	int ready[2], go[2], status, keep;
	char ready_text[16], go_text[16], byte;
	pid_t pid;

	for (keep = 1; keep >= 0; keep--) {
		ASSERT_EQ(0, pipe(ready));
		ASSERT_EQ(0, pipe(go));
		ASSERT_EQ(0, fcntl(self->fd, F_SETFD, keep ? 0 : FD_CLOEXEC));
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			char *const argv[] = { "lifetime_test", "--wait", ready_text,
					       go_text, NULL };

			close(go[1]);
			snprintf(ready_text, sizeof(ready_text), "%d", ready[1]);
			snprintf(go_text, sizeof(go_text), "%d", go[0]);
			execv("/proc/self/exe", argv);
			_exit(1);
		}
		close(ready[1]);
		close(go[0]);
		ASSERT_EQ(1, read(ready[0], &byte, 1));
		if (keep) {
			/* For the second round this process keeps its own. */
			EXPECT_EQ(REFUSED, module_remove());
		} else {
			close(self->fd);
			EXPECT_EQ(0, module_remove());
		}
		close(go[1]);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(0, status);
		close(ready[0]);
	}
}

/* Rule: O_PATH does not open the device; it neither holds nor revives it. */
TEST_F(lifetime, o_path_does_not_hold)
{
	int path = open(DEVICE, O_PATH | O_CLOEXEC);
	char link[64];

	ASSERT_LE(0, path);
	close(self->fd);
	EXPECT_EQ(0, module_remove());
	snprintf(link, sizeof(link), "/proc/self/fd/%d", path);
	EXPECT_EQ(-1, open(link, O_RDWR));
	EXPECT_EQ(ENODEV, errno);
	close(path);
}

/* Rule: nothing of the device is left after rmmod, and insmod brings it back. */
TEST_F(lifetime, device_goes_and_comes)
{
	struct stat st;

	ASSERT_EQ(0, stat(DEVICE, &st));
	close(self->fd);
	ASSERT_EQ(0, module_remove());
	EXPECT_EQ(-1, open(DEVICE, O_RDWR));
	EXPECT_EQ(ENOENT, errno);
	EXPECT_NE(0, access("/sys/class/misc/memscope", F_OK));
	EXPECT_NE(0, access("/sys/module/memscope", F_OK));
	EXPECT_EQ(-ENOENT, module_remove());

	/* Somebody's own node with the old number leads nowhere. */
	ASSERT_EQ(0, mknod("/dev/memscope-stale", S_IFCHR | 0600, st.st_rdev));
	EXPECT_EQ(-1, open("/dev/memscope-stale", O_RDWR));
	EXPECT_EQ(ENODEV, errno);
	unlink("/dev/memscope-stale");

	ASSERT_EQ(0, module_insert());
	EXPECT_EQ(-EEXIST, module_insert());
	EXPECT_EQ(0, stat(DEVICE, &st));
	EXPECT_EQ(0600, st.st_mode & 07777);
	self->fd = open(DEVICE, O_RDWR);
	ASSERT_LE(0, self->fd);
	EXPECT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_SET_IO_FLUSHER, 1));
	close(self->fd);
}

/* Rule: the state is the thread's, it needs the module only to be changed. */
TEST_F(lifetime, state_survives_rmmod)
{
	int status;
	pid_t pid;

	ASSERT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_SET_SCOPES, ALL_SCOPES));
	close(self->fd);
	ASSERT_EQ(0, module_remove());
	EXPECT_EQ(ALL_SCOPES, task_scopes());
	EXPECT_EQ(1, raw_prctl(PR_GET_IO_FLUSHER, 0));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(task_scopes());
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(ALL_SCOPES, WEXITSTATUS(status));

	ASSERT_EQ(0, module_insert());
	self->fd = open(DEVICE, O_RDWR);
	ASSERT_LE(0, self->fd);
	EXPECT_EQ(ALL_SCOPES, raw_ioctl(self->fd, MEMSCOPE_IOC_GET_SCOPES, 0));
	EXPECT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_SET_SCOPES, 0));
	EXPECT_EQ(0, task_scopes());
	close(self->fd);
}

/*
 * Rule: not a line of memscope or about it in the kernel log, from insmod to rmmod, also
 * where commands are refused. (The first insertion of a boot taints, and says so; the set-up
 * may have been that one.)
 */
TEST_F(lifetime, logs_nothing)
{
	int log = kernel_log_open(), i;
	__u64 mask;

	ASSERT_LE(0, log);
	for (i = 0; i < 3; i++) {
		close(self->fd);
		ASSERT_EQ(0, module_remove());
		ASSERT_EQ(0, module_insert());
		self->fd = open(DEVICE, O_RDWR);
		ASSERT_LE(0, self->fd);
		EXPECT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_SET_IO_FLUSHER, 1));
		EXPECT_EQ(1, raw_ioctl(self->fd, MEMSCOPE_IOC_GET_IO_FLUSHER, 0));
		EXPECT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_SET_SCOPES, 0));
		EXPECT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_GET_SCOPES, 0));
		EXPECT_EQ(-EINVAL, raw_ioctl(self->fd, MEMSCOPE_IOC_SET_SCOPES, ~0UL));
		EXPECT_EQ(-EINVAL, raw_ioctl(self->fd, MEMSCOPE_IOC_SET_IO_FLUSHER, 2));
		EXPECT_EQ(-EINVAL, raw_ioctl(self->fd, MEMSCOPE_IOC_GET_SCOPES, 1));
		EXPECT_EQ(-EFAULT, raw_ioctl(self->fd, MEMSCOPE_IOC_GET_FEATURES, 0));
		EXPECT_EQ(0, raw_ioctl(self->fd, MEMSCOPE_IOC_GET_FEATURES,
				       (unsigned long)&mask));
		EXPECT_EQ(-ENOTTY, raw_ioctl(self->fd, _IO(MEMSCOPE_IOC_MAGIC, 99), 0));
		ASSERT_EQ(0, effective_resource(false));
		EXPECT_EQ(-EPERM, raw_ioctl(self->fd, MEMSCOPE_IOC_SET_IO_FLUSHER, 1));
		ASSERT_EQ(0, effective_resource(true));
		EXPECT_EQ(REFUSED, module_remove());
	}
	EXPECT_EQ(0, kernel_log_lines(log, "memscope"));
	/* Control: a line would have been seen. The kernel logs who drops its caches. */
	ASSERT_EQ(0, prctl(PR_SET_NAME, "memscope"));
	ASSERT_EQ(1, write(open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC), "1", 1));
	EXPECT_LT(0, kernel_log_lines(log, "memscope"));
	close(log);
	close(self->fd);
}

/* --- many at once ------------------------------------------------------- */

struct hammer {
	atomic_bool stop;
	atomic_ulong opened, gone, wrong;
};

static void *hammer_body(void *data)
{
	struct hammer *h = data;
	int fd;

	while (!atomic_load(&h->stop)) {
		fd = open(DEVICE, O_RDWR | O_CLOEXEC);
		if (fd < 0) {
			/* ENOENT: no node. ENODEV, ENXIO: the node is going or coming. */
			if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
				atomic_fetch_add(&h->gone, 1);
			else
				atomic_fetch_add(&h->wrong, 1);
			/* Insertion and removal need the CPU too. */
			usleep(50);
			continue;
		}
		if (raw_ioctl(fd, MEMSCOPE_IOC_SET_IO_FLUSHER, 1) ||
		    raw_ioctl(fd, MEMSCOPE_IOC_GET_IO_FLUSHER, 0) != 1 ||
		    raw_ioctl(fd, MEMSCOPE_IOC_SET_SCOPES, 0))
			atomic_fetch_add(&h->wrong, 1);
		close(fd);
		atomic_fetch_add(&h->opened, 1);
	}
	return NULL;
}

/* Rule: opens and unloads that race end in an open file or in a clear refusal. */
TEST_F(lifetime, race_of_open_and_rmmod)
{
	enum { THREADS = 2, ROUNDS = 30, LEAST = 3, SECONDS = 20 };
	time_t end = time(NULL) + SECONDS;
	pthread_t threads[THREADS];
	struct hammer h = {};
	unsigned long removed = 0, refused = 0;
	int i, ret;

	close(self->fd);
	for (i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, hammer_body, &h));
	/* Enough rounds, or where the machine is slow as many as meet everything. */
	while (removed < LEAST || !refused || !atomic_load(&h.opened) || !atomic_load(&h.gone) ||
	       (removed < ROUNDS && time(NULL) < end)) {
		ret = module_remove();
		if (ret == REFUSED) {
			refused++;
			continue;
		}
		ASSERT_EQ(0, ret);
		removed++;
		ASSERT_EQ(0, module_insert());
	}
	atomic_store(&h.stop, true);
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	TH_LOG("%lu removals, %lu refused, %lu opens, %lu found no device", removed, refused,
	       atomic_load(&h.opened), atomic_load(&h.gone));
	EXPECT_EQ(0, atomic_load(&h.wrong));
	EXPECT_EQ(0, module_remove());
}

int main(int argc, char **argv)
{
	char byte;

	if (argc == 4 && !strcmp(argv[1], "--wait")) {
		if (write(atoi(argv[2]), "", 1) != 1)
			return 1;
		return read(atoi(argv[3]), &byte, 1) != 0;
	}
	return test_harness_run(argc, argv);
}
