#define _GNU_SOURCE
#include "CSpawning.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

int spawning_change_folder(posix_spawn_file_actions_t *actions, const char *folder) {
    return posix_spawn_file_actions_addchdir_np(actions, folder);
}

int spawning_close_from(posix_spawn_file_actions_t *actions, int first) {
    return posix_spawn_file_actions_addclosefrom_np(actions, first);
}

int spawning_pipe(int *reading, int *writing) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return -1;
    *reading = ends[0];
    *writing = ends[1];
    return 0;
}

struct program {
    const char *path;
    char *const *arguments;
    char *const *environment;
    const int *descriptors;
    int count;
    int error;
};

// Runs in the caller's memory while the caller waits, on a stack of its own: it may call the kernel and nothing else.
static int become(void *given) {
    struct program *program = given;
    struct sigaction usual = {.sa_handler = SIG_DFL};
    for (int number = 1; number < NSIG; number++) sigaction(number, &usual, NULL);
    sigset_t none;
    sigemptyset(&none);
    if (setpgid(0, 0) != 0 || sigprocmask(SIG_SETMASK, &none, NULL) != 0) goto failed;
    for (int number = 0; number < program->count; number++)
        if (dup2(program->descriptors[number], number) < 0) goto failed;
    execve(program->path, program->arguments, program->environment);
failed:
    program->error = errno;
    _exit(127);
}

int spawning_in_process_namespace(pid_t *process, const char *path, char *const arguments[], char *const environment[],
                                  const int descriptors[], int count) {
    struct program program = {path, arguments, environment, descriptors, count, 0};
    _Alignas(16) char stack[16384];
    // No handler of this process may run in the child, which has its memory.
    sigset_t every, before;
    sigfillset(&every);
    int error = pthread_sigmask(SIG_SETMASK, &every, &before);
    if (error != 0) return error;
    pid_t child = clone(become, stack + sizeof stack, CLONE_VM | CLONE_VFORK | CLONE_NEWPID | SIGCHLD, &program);
    error = child < 0 ? errno : program.error;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (child > 0 && error != 0) waitpid(child, NULL, 0);
    *process = child;
    return error;
}
