#include "CMicroHTTPD.h"

struct MHD_Daemon *baton_http_start(int listening, struct baton_http_limits limits,
                                    MHD_AccessHandlerCallback handler, MHD_RequestCompletedCallback completed,
                                    void *context) {
    return MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, handler, context,
                            MHD_OPTION_LISTEN_SOCKET, listening, MHD_OPTION_CONNECTION_LIMIT, limits.connections,
                            MHD_OPTION_CONNECTION_TIMEOUT, limits.idle_seconds, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                            limits.connection_memory, MHD_OPTION_NOTIFY_COMPLETED, completed, context, MHD_OPTION_END);
}
