#pragma once
// libmicrohttpd, and its variadic start, which Swift cannot call.
#include <microhttpd.h>
#include <stddef.h>

struct baton_http_limits {
    unsigned int connections;
    unsigned int idle_seconds;
    size_t connection_memory;
};

/// Serves on a listening socket, which the daemon then owns, by a thread of the daemon's own. NULL on failure.
struct MHD_Daemon *baton_http_start(int listening, struct baton_http_limits limits,
                                    MHD_AccessHandlerCallback handler, MHD_RequestCompletedCallback completed,
                                    void *context);
