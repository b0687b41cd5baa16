/* Calls a port of a context through vsock, sends what comes on standard input and prints what is answered, until the other
 * side ends or is silent for two seconds. For guests in tests. Usage: vsock-call CONTEXT PORT */
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* Source: linux/vm_sockets.h */
struct vsock_address {
    uint16_t family, reserved;
    uint32_t port, context;
    uint8_t rest[4];
};

int main(int count, char **arguments) {
    if (count != 3) return 64;
    struct vsock_address address = {.family = 40};
    address.context = strtoul(arguments[1], 0, 0);
    address.port = strtoul(arguments[2], 0, 0);
    int connection = socket(40, SOCK_STREAM, 0);
    if (connection < 0 || connect(connection, (struct sockaddr *)&address, sizeof address) != 0) {
        perror("vsock-call");
        return 1;
    }
    char buffer[4096];
    ssize_t size;
    while ((size = read(0, buffer, sizeof buffer)) > 0)
        if (send(connection, buffer, size, MSG_NOSIGNAL) != size) break;
    struct pollfd wait = {.fd = connection, .events = POLLIN};
    while (poll(&wait, 1, 2000) > 0 && (size = read(connection, buffer, sizeof buffer)) > 0)
        if (write(1, buffer, size) != size) break;
    return 0;
}
