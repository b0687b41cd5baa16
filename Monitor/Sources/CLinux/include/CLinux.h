// What Swift cannot import from Linux: system call numbers, ioctl request numbers built by macros, kernel structures,
// thread start-up and signal handlers. Everything here is the kernel's own interface; no C library type is used, because
// the shipped monitor is compiled against one C library's headers and linked with another.
#ifndef SWIFTLET_CLINUX_H
#define SWIFTLET_CLINUX_H

#include <stddef.h>
#include <stdint.h>

// Some of the kernel's structures share their names with the C library's, spelt differently. Under names of their own
// both can be seen by one program.
#define epoll_event linux_epoll_event
#define f_owner_ex linux_f_owner_ex
#define flock linux_flock
#define flock64 linux_flock64
#define signalfd_siginfo linux_signal_record
#define termios linux_termios

#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/eventpoll.h>
#include <linux/falloc.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <linux/if_tun.h>
#include <linux/io_uring.h>
#include <linux/kvm.h>
#include <linux/memfd.h>
#include <linux/mman.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/prctl.h>
#include <linux/reboot.h>
#include <linux/signalfd.h>
#include <linux/socket.h>
#include <linux/stat.h>
#include <linux/time_types.h>
#include <linux/utsname.h>
#include <linux/virtio_net.h>
#include <linux/wait.h>
#include <asm/termbits.h>
#include <asm/ioctls.h>

#undef epoll_event
#undef f_owner_ex
#undef flock
#undef flock64
#undef signalfd_siginfo
#undef termios

#include "system_call.h"
#include "ioctl_numbers.h"
#include "structures.h"
#include "threads.h"
#include "child.h"

#endif
