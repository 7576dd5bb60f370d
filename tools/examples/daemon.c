// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * How a daemon in C marks itself: once, before it serves.
 *
 *	cc daemon.c -o daemon -pthread
 */
#define _GNU_SOURCE
#include <memscope-client.h>

#include <pthread.h>
#include <stdlib.h>

/* Stands for what serves requests. */
static void *worker(void *arg)
{
	pause();
	return arg;
}

int main(void)
{
	struct memscope_client ms;
	pthread_t thread;
	char c;

	/* Close-on-exec: the programs that the daemon starts are not marked. */
	memscope_open(&ms);

	/* Every thread, those to come as well, as long as ms is open. */
	if (memscope_hold_process(&ms, MEMSCOPE_IO_FLUSHER) < 0) {
		fprintf(stderr, "memscope: %s\n", memscope_strerror(&ms, errno));
		/* Without the module: this thread, and those that it creates. */
		if (memscope_add(&ms, MEMSCOPE_IO_FLUSHER)) {
			perror("PR_SET_IO_FLUSHER");
			return 1;
		}
	}

	if (pthread_create(&thread, NULL, worker, NULL))
		return 1;
	puts("serving");
	fflush(stdout);
	/* ... until there is nobody to serve. */
	while (read(0, &c, 1) > 0)
		;
	return 0;
}
