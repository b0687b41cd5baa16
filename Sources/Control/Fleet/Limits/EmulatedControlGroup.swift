import AgentClient
import EmulatedHost

/// A control group in the emulated host, whose files are its own: version 2, with everything allowed.
struct EmulatedControlGroup {
    let host: RunningHost
    let name: String
    /// By which the machine's monitor is told from others.
    let configurationPath: String

    /// As `LocalControlGroup.apply`, for the monitor that is found there.
    func apply(_ settings: ControlGroups.Settings) throws(FleetError) {
        let values = settings.unified.map { "echo '\($0.value)' > \"$group/\($0.file)\"" }.joined(separator: " && ")
        let script = """
            cd /sys/fs/cgroup && { grep -qw cpu cgroup.subtree_control || echo +cpu > cgroup.subtree_control; } || exit 1
            mkdir -p "$group" && \(values) || exit 1
            for file in $(grep -lsF -e "$CONFIGURATION" /proc/[0-9]*/cmdline); do
                tr '\\0' '\\n' < "$file" 2> /dev/null | grep -qxF -e "$CONFIGURATION" || continue
                process=${file#/proc/}
                echo "${process%/cmdline}" > "$group/cgroup.procs" || exit 1
            done
            """
        guard run(script) else {
            throw FleetError(.noControlGroup, "no control group can be made for the machine in the emulated host")
        }
    }

    /// - Returns: whether it is gone.
    func remove() -> Bool {
        run(
            """
            for turn in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
                [ ! -d "/sys/fs/cgroup/$group" ] || rmdir "/sys/fs/cgroup/$group" 2> /dev/null && exit 0
                sleep 0.2
            done
            exit 1
            """)
    }

    private func run(_ script: String) -> Bool {
        let start = host.start(
            ["/bin/sh", "-c", script],
            environment: ["group=\(name)", "CONFIGURATION=\(configurationPath)", "PATH=/usr/bin:/bin"],
            workingDirectory: "/", streams: .pipes(input: false, output: false, error: false))
        guard let control = try? host.connect(),
            let session = try? ProcessSession(start, over: control, output: CollectedOutput())
        else { return false }
        return (try? session.run()) == .exited(.exited(0))
    }
}
