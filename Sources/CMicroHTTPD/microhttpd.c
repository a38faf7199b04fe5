#include "CMicroHTTPD.h"

#include <netdb.h>
#include <sys/socket.h>

struct MHD_Daemon *baton_http_start(int listening, struct baton_http_limits limits, const char *certificate,
                                    const char *key, MHD_AccessHandlerCallback handler,
                                    MHD_RequestCompletedCallback completed, void *context) {
    unsigned int flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME;
    // The list ends at the first MHD_OPTION_END.
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)certificate},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)key},
        {MHD_OPTION_END, 0, NULL},
    };
    struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
    if (certificate) flags |= MHD_USE_TLS;
    return MHD_start_daemon(flags, 0, NULL, NULL, handler, context,
                            MHD_OPTION_LISTEN_SOCKET, listening, MHD_OPTION_CONNECTION_LIMIT, limits.connections,
                            MHD_OPTION_CONNECTION_TIMEOUT, limits.idle_seconds, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                            limits.connection_memory, MHD_OPTION_NOTIFY_COMPLETED, completed, context,
                            MHD_OPTION_ARRAY, certificate ? tls : none, MHD_OPTION_END);
}

int baton_http_client(struct MHD_Connection *connection, char *text, size_t size) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (!info || !info->client_addr) return 0;
    socklen_t length = info->client_addr->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                     : info->client_addr->sa_family == AF_INET  ? sizeof(struct sockaddr_in)
                                                                : 0;
    if (!length) return 0;
    return getnameinfo(info->client_addr, length, text, (socklen_t)size, NULL, 0, NI_NUMERICHOST) == 0;
}
