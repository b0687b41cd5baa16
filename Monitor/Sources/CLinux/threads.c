#define _GNU_SOURCE
#include <sys/mman.h>
#include "threads.h"
#include "system_call.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include <asm/unistd.h>

struct start {
    void (*entry)(void *context);
    void *context;
};

static void *run(void *argument) {
    struct start start = *(struct start *)argument;
    free(argument);
    start.entry(start.context);
    return NULL;
}

int linux_thread_start(void (*entry)(void *context), void *context, size_t stack_bytes) {
    struct start *start = malloc(sizeof *start);
    if (!start) return -12;
    *start = (struct start){entry, context};
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int error = stack_bytes ? pthread_attr_setstacksize(&attributes, stack_bytes) : 0;
    pthread_t thread;
    if (!error) error = pthread_create(&thread, &attributes, run, start);
    pthread_attr_destroy(&attributes);
    if (error) free(start);
    return -error;
}

static void interrupt_only(int signal_number) { (void)signal_number; }

static int install(int signal_number, void (*handler)(int)) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    return sigaction(signal_number, &action, NULL) ? -22 : 0;
}

int linux_signal_interrupts(int signal_number) { return install(signal_number, interrupt_only); }

int linux_signal_ignore(int signal_number) { return install(signal_number, SIG_IGN); }

static void (*refusal_report)(int32_t data, int32_t call, const uintptr_t arguments[3]);

static void report_refusal(int signal_number, siginfo_t *information, void *context) {
    (void)signal_number;
    const greg_t *registers = ((const ucontext_t *)context)->uc_mcontext.gregs;
    const uintptr_t arguments[3] = {registers[REG_RDI], registers[REG_RSI], registers[REG_RDX]};
    if (information->si_code == 1) // SYS_SECCOMP
        refusal_report(information->si_errno, information->si_syscall, arguments);
    // The signal is blocked in here and has its default action again: refused once more, the process ends by it.
    for (;;) linux_system_call(__NR_execve, 0, 0, 0, 0, 0, 0);
}

void linux_report_refused_calls(void (*report)(int32_t data, int32_t call, const uintptr_t arguments[3])) {
    refusal_report = report;
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = report_refusal;
    action.sa_flags = SA_SIGINFO | SA_RESETHAND;
    sigaction(SIGSYS, &action, NULL);
}

static void report_lost_page(int signal_number) {
    (void)signal_number;
    static const char message[] = "swiftlet-vmm: a file that is the guest's memory is shorter than it was; the machine ends\n";
    linux_system_call(__NR_write, 2, (intptr_t)message, sizeof message - 1, 0, 0, 0);
    for (;;) linux_system_call(__NR_exit_group, 1, 0, 0, 0, 0, 0);
}

void linux_report_lost_pages(void) { install(SIGBUS, report_lost_page); }

char **linux_program_arguments(void) {
    char **place = environ - 1;
    // No address is as small as the number.
    for (uintptr_t count = 0; (uintptr_t)place[-1] != count; count++) place--;
    return place;
}

// Set by the linker: where the program's code begins and ends.
extern const char __executable_start[], etext[];

void linux_release_program_code(void) {
    const uintptr_t page = 4096;
    uintptr_t start = ((uintptr_t)__executable_start + page - 1) & ~(page - 1), end = (uintptr_t)etext & ~(page - 1);
    if (start < end) madvise((void *)start, end - start, MADV_DONTNEED);
}
