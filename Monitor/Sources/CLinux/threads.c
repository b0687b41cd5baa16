#include "threads.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

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
