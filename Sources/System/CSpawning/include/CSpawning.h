// The parts of spawn.h and unistd.h that the C library shows only with its extensions switched on.
#ifndef SWIFTLET_CSPAWNING_H
#define SWIFTLET_CSPAWNING_H

#include <spawn.h>

/// The child starts in `folder`. Returns 0 or an error number.
int spawning_change_folder(posix_spawn_file_actions_t *actions, const char *folder);

/// The child closes every descriptor from `first` up. Returns 0 or an error number.
int spawning_close_from(posix_spawn_file_actions_t *actions, int first);

/// A pipe whose ends are closed on exec. Returns 0, or -1 with errno set.
int spawning_pipe(int *reading, int *writing);

#endif
