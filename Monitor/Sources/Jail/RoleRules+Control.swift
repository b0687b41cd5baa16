extension RoleRules {
    /// Of the thread that serves a machine's control socket. It opens files below descriptors only, and there is none but of
    /// the folder for snapshots.
    static let control: [Rule] =
        loop + [
            Rule(.accept4, [.word(3, 0x80800)], for: "who controls the machine"),
            Rule(.read, for: "requests, being woken"),
            Rule(.write, for: "answers, a snapshot's state, waking other threads"),
            Rule(.close, for: "connections, a snapshot's files"),
            // Below a descriptor: AT_FDCWD is negative.
            Rule(.openat2, [.bits(0, mask: 0x8000_0000, 0)], for: "a snapshot's files, below their folder"),
            Rule(.timerSet, need: .rare, for: "clients that hold up others"),
            Rule(.gettid, for: "telling itself from others"),
        ] + saving + keeping + lock + memory + ending + [clock]
}
