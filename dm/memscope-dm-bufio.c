// SPDX-License-Identifier: GPL-2.0
/*
 * The names of dm-bufio, on memscope's bufio: a device-mapper target that was
 * linked against dm-bufio.ko loads on this module in its place.
 *
 * Both caches keep their clients and buffers opaque, so a pointer of the one is
 * handed on as a pointer of the other.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/dm-bufio.h>
#include <linux/dm-io.h>
#include <linux/export-internal.h>
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/module_symbol.h>
#include <linux/rcupdate.h>

#include <linux/memscope-bufio.h>

static struct memscope_bufio_client *to_client(struct dm_bufio_client *c)
{
	return (struct memscope_bufio_client *)c;
}

static struct memscope_buffer *to_buffer(struct dm_buffer *b)
{
	return (struct memscope_buffer *)b;
}

static struct memscope_buffer **to_buffer_ptr(struct dm_buffer **bp)
{
	return (struct memscope_buffer **)bp;
}

/* Clients that exist. */
static atomic_t clients = ATOMIC_INIT(0);

struct dm_bufio_client *
dm_bufio_client_create(struct block_device *bdev, unsigned int block_size,
		       unsigned int reserved_buffers, unsigned int aux_size,
		       void (*alloc_callback)(struct dm_buffer *),
		       void (*write_callback)(struct dm_buffer *),
		       unsigned int flags)
{
	unsigned int ours = MEMSCOPE_BUFIO_CLIENT_DM_BUFFER;
	struct memscope_bufio_client *client;
	struct dm_io_client *io;

	/* dm-bufio ignores bits that it does not know. */
	if (flags & DM_BUFIO_CLIENT_NO_SLEEP)
		ours |= MEMSCOPE_BUFIO_CLIENT_NO_SLEEP;
	/* The callers rely on a failed write leaving the cache. */
	ours |= MEMSCOPE_BUFIO_CLIENT_DROP_FAILED;
	/* Through void *: the callbacks keep their types, see DM_BUFFER. */
	client = memscope_bufio_client_create(bdev, block_size, reserved_buffers, aux_size,
					      (void *)alloc_callback, (void *)write_callback,
					      ours);
	if (IS_ERR(client))
		return ERR_CAST(client);
	/* Here, because callers of dm_bufio_get_dm_io_client() expect no error. */
	io = memscope_bufio_get_dm_io_client(client);
	if (IS_ERR(io)) {
		memscope_bufio_client_destroy(client);
		return ERR_CAST(io);
	}
	atomic_inc(&clients);
	return (struct dm_bufio_client *)client;
}

void dm_bufio_client_destroy(struct dm_bufio_client *c)
{
	memscope_bufio_client_destroy(to_client(c));
	atomic_dec(&clients);
}

void dm_bufio_client_reset(struct dm_bufio_client *c)
{
	memscope_bufio_client_reset(to_client(c));
}

void dm_bufio_set_sector_offset(struct dm_bufio_client *c, sector_t start)
{
	memscope_bufio_set_sector_offset(to_client(c), start);
}

void *dm_bufio_read(struct dm_bufio_client *c, sector_t block, struct dm_buffer **bp)
{
	return memscope_bufio_read(to_client(c), block, to_buffer_ptr(bp));
}

void *dm_bufio_read_with_ioprio(struct dm_bufio_client *c, sector_t block,
				struct dm_buffer **bp, unsigned short ioprio)
{
	return memscope_bufio_read_with_ioprio(to_client(c), block, to_buffer_ptr(bp), ioprio);
}

void *dm_bufio_get(struct dm_bufio_client *c, sector_t block, struct dm_buffer **bp)
{
	return memscope_bufio_get(to_client(c), block, to_buffer_ptr(bp));
}

void *dm_bufio_new(struct dm_bufio_client *c, sector_t block, struct dm_buffer **bp)
{
	return memscope_bufio_new(to_client(c), block, to_buffer_ptr(bp));
}

void dm_bufio_prefetch(struct dm_bufio_client *c, sector_t block, unsigned int n_blocks)
{
	memscope_bufio_prefetch(to_client(c), block, n_blocks);
}

void dm_bufio_prefetch_with_ioprio(struct dm_bufio_client *c, sector_t block,
				   unsigned int n_blocks, unsigned short ioprio)
{
	memscope_bufio_prefetch_with_ioprio(to_client(c), block, n_blocks, ioprio);
}

void dm_bufio_release(struct dm_buffer *b)
{
	memscope_bufio_release(to_buffer(b));
}

void dm_bufio_mark_buffer_dirty(struct dm_buffer *b)
{
	memscope_bufio_mark_buffer_dirty(to_buffer(b));
}

void dm_bufio_mark_partial_buffer_dirty(struct dm_buffer *b, unsigned int start,
					unsigned int end)
{
	memscope_bufio_mark_partial_buffer_dirty(to_buffer(b), start, end);
}

void dm_bufio_write_dirty_buffers_async(struct dm_bufio_client *c)
{
	memscope_bufio_write_dirty_buffers_async(to_client(c));
}

int dm_bufio_write_dirty_buffers(struct dm_bufio_client *c)
{
	return memscope_bufio_write_dirty_buffers(to_client(c));
}

int dm_bufio_issue_flush(struct dm_bufio_client *c)
{
	return memscope_bufio_issue_flush(to_client(c));
}

int dm_bufio_issue_discard(struct dm_bufio_client *c, sector_t block, sector_t count)
{
	return memscope_bufio_issue_discard(to_client(c), block, count);
}

void dm_bufio_forget(struct dm_bufio_client *c, sector_t block)
{
	memscope_bufio_forget(to_client(c), block);
}

void dm_bufio_forget_buffers(struct dm_bufio_client *c, sector_t block, sector_t n_blocks)
{
	memscope_bufio_forget_buffers(to_client(c), block, n_blocks);
}

void dm_bufio_set_minimum_buffers(struct dm_bufio_client *c, unsigned int n)
{
	memscope_bufio_set_minimum_buffers(to_client(c), n);
}

unsigned int dm_bufio_get_block_size(struct dm_bufio_client *c)
{
	return memscope_bufio_get_block_size(to_client(c));
}

sector_t dm_bufio_get_device_size(struct dm_bufio_client *c)
{
	return memscope_bufio_get_device_size(to_client(c));
}

sector_t dm_bufio_get_block_number(struct dm_buffer *b)
{
	return memscope_bufio_get_block_number(to_buffer(b));
}

void *dm_bufio_get_block_data(struct dm_buffer *b)
{
	return memscope_bufio_get_block_data(to_buffer(b));
}

void *dm_bufio_get_aux_data(struct dm_buffer *b)
{
	return memscope_bufio_get_aux_data(to_buffer(b));
}

struct dm_io_client *dm_bufio_get_dm_io_client(struct dm_bufio_client *c)
{
	return memscope_bufio_get_dm_io_client(to_client(c));
}

struct dm_bufio_client *dm_bufio_get_client(struct dm_buffer *b)
{
	return (struct dm_bufio_client *)memscope_bufio_get_client(to_buffer(b));
}

/*
 * The exports.
 *
 * Not EXPORT_SYMBOL_GPL, for two reasons. depmod would take this module, because
 * it is installed, for the provider of every target's symbols, though nobody
 * asked for it; it cannot be installed where depmod does not look, as modprobe
 * would not find it either, nor DKMS know the place. And the kernel compares
 * exported names with those of the other modules before a module's code can say
 * anything (complete_formation() in kernel/module/main.c): beside dm-bufio.ko its
 * "exports duplicate symbol" would be the only message. So the table of exports is
 * kept where neither looks for it, and the init function hangs it into struct
 * module.
 *
 * What this relies on was read, and is run by selftests/dm, on 7.2 and 7.3:
 * find_symbol() and free_module() in kernel/module/main.c, which read syms,
 * num_syms and flagstab and do not free them. The types are checked below, the
 * entry in exports_check.c; the file does not compile where they differ.
 *
 * The names are in the order of strcmp(), by which the kernel searches.
 */
#define FOR_EACH_EXPORT(x)			\
	x(dm_bufio_client_create)		\
	x(dm_bufio_client_destroy)		\
	x(dm_bufio_client_reset)		\
	x(dm_bufio_forget)			\
	x(dm_bufio_forget_buffers)		\
	x(dm_bufio_get)				\
	x(dm_bufio_get_aux_data)		\
	x(dm_bufio_get_block_data)		\
	x(dm_bufio_get_block_number)		\
	x(dm_bufio_get_block_size)		\
	x(dm_bufio_get_client)			\
	x(dm_bufio_get_device_size)		\
	x(dm_bufio_get_dm_io_client)		\
	x(dm_bufio_issue_discard)		\
	x(dm_bufio_issue_flush)			\
	x(dm_bufio_mark_buffer_dirty)		\
	x(dm_bufio_mark_partial_buffer_dirty)	\
	x(dm_bufio_new)				\
	x(dm_bufio_prefetch)			\
	x(dm_bufio_prefetch_with_ioprio)	\
	x(dm_bufio_read)			\
	x(dm_bufio_read_with_ioprio)		\
	x(dm_bufio_release)			\
	x(dm_bufio_set_minimum_buffers)		\
	x(dm_bufio_set_sector_offset)		\
	x(dm_bufio_write_dirty_buffers)		\
	x(dm_bufio_write_dirty_buffers_async)

/* As __KSYMTAB() in linux/export-internal.h, in a section of another name. */
#define EXPORT_ENTRY(name)						\
	"__ksymtab_" #name ":"					"\n"	\
	__KSYM_REF(name)					"\n"	\
	__KSYM_REF(__memscope_str_##name)			"\n"	\
	__KSYM_REF(__memscope_no_namespace)			"\n"

#define EXPORT_NAME(name)						\
	"__memscope_str_" #name ": .asciz \"" #name "\""		"\n"

asm(".section \".rodata.memscope_strings\", \"a\""			"\n"
    FOR_EACH_EXPORT(EXPORT_NAME)
    "__memscope_no_namespace: .asciz \"\""			"\n"
    ".previous"							"\n"
    ".section \".rodata.memscope_table\", \"a\""			"\n"
    __KSYM_ALIGN						"\n"
    "memscope_exports:"						"\n"
    FOR_EACH_EXPORT(EXPORT_ENTRY)
    ".previous"							"\n");

/* struct kernel_symbol is private to the kernel. */
extern const char memscope_exports[];

#define EXPORT_FLAGS(name) KSYM_FLAG_GPL_ONLY,
static const u8 export_flags[] = { FOR_EACH_EXPORT(EXPORT_FLAGS) };

static_assert(__same_type(THIS_MODULE->syms, const struct kernel_symbol *));
static_assert(__same_type(THIS_MODULE->num_syms, unsigned int));
static_assert(__same_type(THIS_MODULE->flagstab, const u8 *));

static void publish_exports(void)
{
	THIS_MODULE->syms = (const void *)memscope_exports;
	THIS_MODULE->flagstab = export_flags;
	/*
	 * Nobody sees the number without the table: who searches does so under RCU
	 * or module_mutex, and reads both without giving up the processor in between.
	 */
	synchronize_rcu_tasks();
	WRITE_ONCE(THIS_MODULE->num_syms, ARRAY_SIZE(export_flags));
}

static int refuse_beside_dm_bufio(void)
{
	struct kobject *other = kset_find_obj(THIS_MODULE->mkobj.kobj.kset, "dm_bufio");

	if (!other)
		return 0;
	kobject_put(other);
	pr_err("dm_bufio is loaded, whose place this module takes: remove the targets that use it (lsmod), then dm_bufio\n");
	return -EBUSY;
}

/*
 * dm-bufio's parameters. The values are memscope's own, as there is one cache.
 */

static struct memscope_bufio_usage usage(void)
{
	struct memscope_bufio_usage now;

	memscope_bufio_get_usage(&now);
	return now;
}

static int limit_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%lu\n", usage().limit_bytes);
}

static int limit_set(const char *value, const struct kernel_param *kp)
{
	unsigned long bytes;
	int error = kstrtoul(value, 0, &bytes);

	if (!error)
		memscope_bufio_set_limit_bytes(bytes);
	return error;
}

static int retain_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%lu\n", memscope_bufio_get_retain_bytes());
}

static int retain_set(const char *value, const struct kernel_param *kp)
{
	unsigned long bytes;
	int error = kstrtoul(value, 0, &bytes);

	if (!error)
		memscope_bufio_set_retain_bytes(bytes);
	return error;
}

static int peak_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%lu\n", usage().peak_bytes);
}

static int peak_set(const char *value, const struct kernel_param *kp)
{
	unsigned long bytes;
	int error = kstrtoul(value, 0, &bytes);

	if (!error)
		memscope_bufio_set_peak_bytes(bytes);
	return error;
}

/*
 * The others are counts. The kernel calls it for a value given when the module is
 * loaded, which dm-bufio takes and its init function clears.
 */
static int count_set(const char *value, const struct kernel_param *kp)
{
	unsigned long bytes;

	return kstrtoul(value, 0, &bytes);
}

static int current_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%lu\n", usage().current_bytes);
}

static int kmem_cache_get(char *buffer, const struct kernel_param *kp)
{
	struct memscope_bufio_usage now = usage();
	unsigned long others = now.page_bytes + now.vmalloc_bytes;

	/* Not of one moment. */
	return sysfs_emit(buffer, "%lu\n",
			  now.current_bytes - min(now.current_bytes, others));
}

static int kmalloc_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "0\n");
}

static int pages_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%lu\n", usage().page_bytes);
}

static int vmalloc_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%lu\n", usage().vmalloc_bytes);
}

static const struct kernel_param_ops max_cache_size_bytes_ops = {
	.get = limit_get,
	.set = limit_set,
};
module_param_cb(max_cache_size_bytes, &max_cache_size_bytes_ops, NULL, 0644);
MODULE_INFO(parmtype, "max_cache_size_bytes:ulong");
MODULE_PARM_DESC(max_cache_size_bytes,
		 "Limit of all block buffers, 0 for the default (1 to allocate none beyond the reserves)");

static const struct kernel_param_ops retain_bytes_ops = {
	.get = retain_get,
	.set = retain_set,
};
module_param_cb(retain_bytes, &retain_bytes_ops, NULL, 0644);
MODULE_INFO(parmtype, "retain_bytes:ulong");
MODULE_PARM_DESC(retain_bytes, "Bytes that the shrinker leaves to each client");

static const struct kernel_param_ops peak_allocated_bytes_ops = {
	.get = peak_get,
	.set = peak_set,
};
module_param_cb(peak_allocated_bytes, &peak_allocated_bytes_ops, NULL, 0644);
MODULE_INFO(parmtype, "peak_allocated_bytes:ulong");
MODULE_PARM_DESC(peak_allocated_bytes, "Most bytes of block buffers at once");

static const struct kernel_param_ops current_allocated_bytes_ops = {
	.get = current_get,
	.set = count_set,
};
module_param_cb(current_allocated_bytes, &current_allocated_bytes_ops, NULL, 0444);
MODULE_INFO(parmtype, "current_allocated_bytes:ulong");
MODULE_PARM_DESC(current_allocated_bytes, "Bytes of block buffers, headers included");

static const struct kernel_param_ops allocated_kmem_cache_bytes_ops = {
	.get = kmem_cache_get,
	.set = count_set,
};
module_param_cb(allocated_kmem_cache_bytes, &allocated_kmem_cache_bytes_ops, NULL, 0444);
MODULE_INFO(parmtype, "allocated_kmem_cache_bytes:ulong");
MODULE_PARM_DESC(allocated_kmem_cache_bytes,
		 "Headers, lookup tables and blocks smaller than a page, part of the current bytes");

static const struct kernel_param_ops allocated_kmalloc_bytes_ops = {
	.get = kmalloc_get,
	.set = count_set,
};
module_param_cb(allocated_kmalloc_bytes, &allocated_kmalloc_bytes_ops, NULL, 0444);
MODULE_INFO(parmtype, "allocated_kmalloc_bytes:ulong");
MODULE_PARM_DESC(allocated_kmalloc_bytes, "Always 0: small blocks have slabs of their own");

static const struct kernel_param_ops allocated_get_free_pages_bytes_ops = {
	.get = pages_get,
	.set = count_set,
};
module_param_cb(allocated_get_free_pages_bytes, &allocated_get_free_pages_bytes_ops, NULL, 0444);
MODULE_INFO(parmtype, "allocated_get_free_pages_bytes:ulong");
MODULE_PARM_DESC(allocated_get_free_pages_bytes, "Blocks from the page allocator, part of the current bytes");

static const struct kernel_param_ops allocated_vmalloc_bytes_ops = {
	.get = vmalloc_get,
	.set = count_set,
};
module_param_cb(allocated_vmalloc_bytes, &allocated_vmalloc_bytes_ops, NULL, 0444);
MODULE_INFO(parmtype, "allocated_vmalloc_bytes:ulong");
MODULE_PARM_DESC(allocated_vmalloc_bytes, "Blocks from vmalloc, part of the current bytes");

static unsigned int max_age_seconds;
module_param(max_age_seconds, uint, 0644);
MODULE_PARM_DESC(max_age_seconds, "Does nothing, as in dm-bufio");

/* memscope.ko does not link to dm-mod; this module does. */
static const struct memscope_bufio_dm_io_ops dm_io_ops = {
	.create = dm_io_client_create,
	.destroy = dm_io_client_destroy,
};

static int __init memscope_dm_bufio_init(void)
{
	int error = refuse_beside_dm_bufio();

	if (error)
		return error;
	publish_exports();
	/* From here on the kernel refuses dm_bufio; it may have come just before. */
	error = refuse_beside_dm_bufio();
	if (error)
		return error;
	memscope_bufio_set_dm_io(&dm_io_ops);
	pr_info("in the place of dm_bufio, which cannot be loaded meanwhile\n");
	return 0;
}

static void __exit memscope_dm_bufio_exit(void)
{
	int left = atomic_read(&clients);

	if (left)
		pr_crit("%d clients were not destroyed\n", left);
	WARN_ON(left);
	memscope_bufio_set_dm_io(NULL);
}

module_init(memscope_dm_bufio_init);
module_exit(memscope_dm_bufio_exit);

MODULE_AUTHOR("The memscope authors");
MODULE_DESCRIPTION("dm-bufio's interface on memscope's buffer cache");
MODULE_LICENSE("GPL");
