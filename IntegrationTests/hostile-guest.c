// A guest without an operating system that means harm: it does random things to every port, register, queue and doorbell
// of the monitor, as fast as it can, for ever. Built by hostile.py, with a seed; with PEACEFUL it only says that it goes on.
#include <stdint.h>

#ifndef SEED
#define SEED 1
#endif

enum { WINDOWS = WINDOWS_START, DEVICES = 9, QUEUES = 0x200000, QUEUES_BYTES = 0x40000 };

static uint64_t state = SEED * 0x9e3779b97f4a7c15u | 1;

static uint64_t draw(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void put32(uint64_t address, uint32_t value) { *(volatile uint32_t *)address = value; }
static uint32_t get32(uint64_t address) { return *(volatile uint32_t *)address; }

static void say(const char *text) {
    for (; *text; text++) __asm__ volatile("outb %0, %1" ::"a"(*text), "d"((uint16_t)0x3f8));
}

// Every port but those by which a guest ends itself, with every width, in both directions.
static void use_port(void) {
    uint64_t random = draw();
    uint16_t port = random & 1 ? random >> 16 : 0x3f8 + (random >> 16 & 7);
    if (port == 0x64 || port == 0xcf9 || (port & 0xfff0) == 0x600 || port == 0x5ff || port > 0xfffc) return;
    uint32_t value = random >> 32;
    // An access of four bytes may reach what follows.
    if (port + 3 >= 0x64 && port < 0x64) port = 0x60;
    switch (random >> 4 & 7) {
    case 0: __asm__ volatile("outb %b0, %1" ::"a"(value), "d"(port)); break;
    case 1: if (port != 0x63) __asm__ volatile("outw %w0, %1" ::"a"(value), "d"(port)); break;
    case 2: if (port != 0x60) __asm__ volatile("outl %0, %1" ::"a"(value), "d"(port)); break;
    case 3: __asm__ volatile("inb %1, %b0" : "=a"(value) : "d"(port)); break;
    case 4: __asm__ volatile("inw %1, %w0" : "=a"(value) : "d"(port)); break;
    default: __asm__ volatile("inl %1, %0" : "=a"(value) : "d"(port)); break;
    }
}

// Any register of any window, with any width, or the interrupt controller's.
static void use_register(void) {
    uint64_t random = draw();
    uint64_t address = random & 0xf ? WINDOWS + (random >> 8) % DEVICES * 4096 + (random >> 16 & (random & 0x10 ? 0xfff : 0x1fc))
                                    : 0xfec00000 + (random >> 8 & 0x10);
    uint64_t value = draw();
    if (random & 0x20) value &= 0xff;
    switch (random >> 5 & 7) {
    case 0: *(volatile uint8_t *)address = value; break;
    case 1: *(volatile uint16_t *)address = value; break;
    case 2: *(volatile uint64_t *)address = value; break;
    case 3: (void)*(volatile uint64_t *)address; break;
    case 4: (void)*(volatile uint8_t *)address; break;
    default: put32(address, value); (void)get32(address); break;
    }
}

// As a driver begins, more or less: what is accepted leads to devices that work on random rings.
static void set_up_device(void) {
    uint64_t random = draw(), window = WINDOWS + random % DEVICES * 4096;
    put32(window + 0x70, 0);
    put32(window + 0x70, 1);
    put32(window + 0x70, 3);
    for (uint32_t half = 0; half < 2; half++) {
        put32(window + 0x14, half);
        uint32_t offered = get32(window + 0x10);
        put32(window + 0x24, half);
        put32(window + 0x20, random & 0x100 ? offered : offered & draw() | half);
    }
    put32(window + 0x70, 11);
    for (uint32_t queue = 0; queue < 4; queue++) {
        put32(window + 0x30, queue);
        uint32_t most = get32(window + 0x34);
        if (!most) break;
        uint64_t shape = draw();
        put32(window + 0x38, shape & 3 ? 1u << (shape >> 8) % 9 : shape >> 8 & 0xffff);
        for (uint32_t part = 0x80; part <= 0xa0; part += 0x10) {
            shape = draw();
            // Now and then where no memory is, or at the end of it.
            uint64_t place = shape & 0x1f ? QUEUES + (shape >> 8) % QUEUES_BYTES & ~15ull : shape;
            put32(window + part, place);
            put32(window + part + 4, shape & 0x1f ? 0 : place >> 32);
        }
        put32(window + 0x44, 1);
    }
    put32(window + 0x70, 15);
}

static void ring(void) {
    uint64_t random = draw();
    for (int times = random & 15; times >= 0; times--) put32(WINDOWS + (random >> 8) % DEVICES * 4096 + 0x50, draw() & 3);
}

// Descriptors, indexes and requests of any kind, while devices look at them.
static void scribble(void) {
    for (int times = 0; times < 64; times++) {
        uint64_t random = draw(), value = draw();
        uint64_t place = QUEUES + random % (QUEUES_BYTES - 16) & ~7ull;
        switch (random >> 60) {
        case 0 ... 3: value = QUEUES + value % QUEUES_BYTES; break;                               // a descriptor's address
        case 4 ... 9: value = value & 0xfff | (value >> 12 & 7) << 32 | (value >> 20 & 0xff) << 48; break; // its length, flags, next
        case 10 ... 12: value &= 0x00ff00ff00ff00ff; break;                                      // indexes, a request's type
        default: break;
        }
        *(volatile uint64_t *)place = value;
    }
}

void run(void) {
#ifdef PEACEFUL
    for (;;) say(".");
#endif
    say("begins\n");
    for (;;) {
        switch (draw() >> 8 & 15) {
        case 0 ... 2: use_port(); break;
        case 3 ... 6: use_register(); break;
        case 7 ... 8: set_up_device(); break;
        case 9 ... 12: ring(); break;
        default: scribble(); break;
        }
    }
}

__asm__(".section .text.first, \"ax\"\n.globl _start\n_start: movl $0x1f0000, %esp\ncall run\n.text");
