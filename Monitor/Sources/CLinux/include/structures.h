// Kernel structures whose headers would drag in the C library's, laid out as the kernel has them.
#ifndef SWIFTLET_STRUCTURES_H
#define SWIFTLET_STRUCTURES_H

#include <stdint.h>

/// `struct iovec`: one piece of a vectored read or write.
struct linux_io_vector {
    void *base;
    uintptr_t length;
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

#endif
