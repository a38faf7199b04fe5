#pragma once
// What Linux offers and the Glibc module of Swift leaves out. Without _GNU_SOURCE, which would make this module's `fd_set`
// differ from the one of the Glibc module: the functions that hide behind it are declared here.
#include <fcntl.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timerfd.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

int accept4(int socket, struct sockaddr *address, socklen_t *length, int flags);
int pthread_setname_np(pthread_t thread, const char *name);
int fallocate(int descriptor, int mode, off_t offset, off_t length);
ssize_t pwritev2(int descriptor, const struct iovec *pieces, int count, off_t offset, int flags);
#ifndef RWF_DSYNC
#define RWF_DSYNC 0x00000002
#endif

/// `fcntl(F_SETFL)` and its kin are variadic, which Swift cannot call.
static inline int baton_fcntl(int descriptor, int command, int argument) {
    return fcntl(descriptor, command, argument);
}
/// `open` with a mode is variadic, which Swift cannot call.
static inline int baton_open(const char *path, int flags, mode_t mode) {
    return open(path, flags, mode);
}

/// Which event loop runs on the calling thread: Swift has no thread-local variables of its own, and every hand-over of a
/// task asks. Null on a thread without a loop.
extern _Thread_local const void *baton_loop_of_this_thread;
static inline const void *baton_current_loop(void) { return baton_loop_of_this_thread; }
static inline void baton_set_current_loop(const void *loop) { baton_loop_of_this_thread = loop; }
