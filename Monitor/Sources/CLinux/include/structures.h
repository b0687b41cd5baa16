// Kernel structures whose headers would drag in the C library's, laid out as the kernel has them.
#ifndef SWIFTLET_STRUCTURES_H
#define SWIFTLET_STRUCTURES_H

#include <stdint.h>

/// `struct iovec`: one piece of a vectored read or write.
struct linux_io_vector {
    void *base;
    uintptr_t length;
};

/// `struct msghdr`: what one sendmsg or recvmsg moves.
struct linux_message_header {
    void *address;
    uint32_t address_length;
    struct linux_io_vector *vectors;
    uintptr_t vector_count;
    void *control;
    uintptr_t control_length;
    int32_t flags;
};

/// `struct sockaddr_vm`: an address of the vsock family (40).
struct linux_vsock_address {
    uint16_t family;
    uint16_t reserved;
    uint32_t port;
    uint32_t cid;
    uint8_t flags;
    uint8_t zero[3];
};

/// `struct ifreq` as the TUN requests use it: a name and flags.
struct linux_interface_request {
    char name[16];
    int16_t flags;
    char padding[22];
};

/// `struct sockaddr_in`: an IPv4 address and port, both in network order.
struct linux_ipv4_address {
    uint16_t family;
    uint8_t port[2];
    uint8_t address[4];
    uint8_t zero[8];
};

/// `struct sockaddr_in6`: an IPv6 address and port, both in network order.
struct linux_ipv6_address {
    uint16_t family;
    uint8_t port[2];
    uint32_t flow;
    uint8_t address[16];
    uint32_t scope;
};

/// `struct sockaddr_nl`: an address of the netlink family (16).
struct linux_netlink_address {
    uint16_t family;
    uint16_t padding;
    uint32_t port;
    uint32_t groups;
};

/// `struct winsize`: the size of a terminal.
struct linux_window_size {
    uint16_t rows;
    uint16_t columns;
    uint16_t width_pixels;
    uint16_t height_pixels;
};

#endif
