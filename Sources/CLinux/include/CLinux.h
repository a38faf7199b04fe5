#pragma once
// What Linux offers and the Glibc module of Swift leaves out.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
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

/// `fcntl(F_SETFL)` and its kin are variadic, which Swift cannot call.
static inline int baton_fcntl(int descriptor, int command, int argument) {
    return fcntl(descriptor, command, argument);
}
/// `open` with a mode is variadic, which Swift cannot call.
static inline int baton_open(const char *path, int flags, mode_t mode) {
    return open(path, flags, mode);
}
