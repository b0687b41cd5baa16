/* Has the kernel write zeroes to a range of a block device (BLKZEROOUT), which no applet of busybox does. For guests in
 * tests. Usage: zero-range DEVICE OFFSET LENGTH */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#ifndef BLKZEROOUT
#define BLKZEROOUT _IO(0x12, 127) /* Source: linux/fs.h */
#endif

int main(int count, char **arguments) {
    if (count != 4) return 64;
    int device = open(arguments[1], O_WRONLY | O_CLOEXEC);
    uint64_t range[2] = {strtoull(arguments[2], 0, 0), strtoull(arguments[3], 0, 0)};
    if (device < 0 || ioctl(device, BLKZEROOUT, range) != 0) {
        perror(arguments[1]);
        return 1;
    }
    return 0;
}
