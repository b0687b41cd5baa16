// The parts of spawn.h and unistd.h that the C library shows only with its extensions switched on.
#ifndef SWIFTLET_CSPAWNING_H
#define SWIFTLET_CSPAWNING_H

#include <spawn.h>
#include <sys/types.h>

/// The child starts in `folder`. Returns 0 or an error number.
int spawning_change_folder(posix_spawn_file_actions_t *actions, const char *folder);

/// The child closes every descriptor from `first` up. Returns 0 or an error number.
int spawning_close_from(posix_spawn_file_actions_t *actions, int first);

/// Starts a program as the first process of a new PID namespace, in a process group of its own, with no signal blocked or
/// ignored, and with these descriptors from 0 up, none of which may be below their count.
/// Returns 0 or an error number: EPERM where this process may make no such namespace.
int spawning_in_process_namespace(pid_t *process, const char *path, char *const arguments[], char *const environment[],
                                  const int descriptors[], int count);

/// A pipe whose ends are closed on exec. Returns 0, or -1 with errno set.
int spawning_pipe(int *reading, int *writing);

#endif
