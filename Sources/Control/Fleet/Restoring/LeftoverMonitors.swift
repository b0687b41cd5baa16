import AgentClient
import AgentProtocol
import CLinux
import EmulatedHost
import Glibc
import HostFiles
import LinuxCalls

/// Monitors whose machine's owner was killed. They end by themselves when their lifeline hangs up; one that does not is
/// ended before anybody else gets the disks.
///
/// A monitor is told by its configuration file, whose path no other process has among its arguments.
struct LeftoverMonitors {
    /// A monitor that ends by itself writes what its disks have in flight.
    private static let graceMilliseconds: UInt64 = 2000
    private static let endMilliseconds: UInt64 = 30_000
    private static let mostArgumentBytes = 64 << 10

    let configurationPath: String

    init(_ machine: OwnedMachine) { configurationPath = machine.folder.appending("monitor.json").description }

    /// Waits for the end of those on this computer, and kills those that do not end.
    func endHere() throws(FleetError) {
        let grace = Deadline(afterMilliseconds: Self.graceMilliseconds)
        let end = Deadline(afterMilliseconds: Self.graceMilliseconds + Self.endMilliseconds)
        while true {
            let left = processes()
            guard let process = left.first else { return }
            guard !end.isOver else {
                throw FleetError(
                    .stillRunning, "the machine's monitor, process \(process), is left over and does not end")
            }
            if grace.isOver { for process in left { kill(process) } }
            LinuxCalls.sleep(nanoseconds: 20_000_000)
        }
    }

    /// By their numbers.
    func processes() -> [Int32] {
        ((try? HostPath("/proc").folderNames()) ?? []).compactMap { Int32(String(decoding: $0, as: UTF8.self)) }
            .filter(isMonitor)
    }

    private func isMonitor(_ process: Int32) -> Bool {
        guard process != getpid(),
            let bytes = try? HostPath("/proc/\(process)/cmdline").readWhole(limit: Self.mostArgumentBytes)
        else { return false }
        let arguments = bytes.split(separator: 0)
        return zip(arguments, arguments.dropFirst()).contains { option, value in
            option.elementsEqual("--config-file".utf8) && value.elementsEqual(configurationPath.utf8)
        }
    }

    /// The number may go to a stranger at any moment; what was opened by it stays the same process.
    private func kill(_ process: Int32) {
        // SAFETY: no address is passed.
        guard let number = unsafe try? systemCall(__NR_pidfd_open, Int(process), 0) else { return }
        let descriptor = FileDescriptor(owning: Int32(truncatingIfNeeded: number))
        guard isMonitor(process) else { return }
        // SAFETY: no address is passed: no information goes with the signal.
        _ = unsafe try? systemCall(__NR_pidfd_send_signal, Int(descriptor.number), Int(SIGKILL), 0, 0)
    }

    /// As `endHere`, for those in the emulated host, where `/proc` is the host's.
    func end(in host: RunningHost) throws(FleetError) {
        let script = """
            i=0
            while :; do
                left=
                # One process looks at all of them first: there, to begin one for each takes seconds.
                for file in $(grep -lsF -e "$CONFIGURATION" /proc/[0-9]*/cmdline); do
                    process=${file#/proc/}
                    tr '\\0' '\\n' < "$file" 2> /dev/null | grep -qxF -e "$CONFIGURATION" && left="$left ${process%/cmdline}"
                done
                [ -n "$left" ] || exit 0
                [ $i -lt 20 ] || kill -9 $left 2> /dev/null
                [ $i -lt 200 ] || exit 1
                i=$((i + 1))
                sleep 0.2
            done
            """
        let end: SessionEnd
        do {
            let start = host.start(
                ["/bin/sh", "-c", script], environment: ["CONFIGURATION=\(configurationPath)", "PATH=/usr/bin:/bin"],
                workingDirectory: "/", streams: .pipes(input: false, output: false, error: false))
            end = try ProcessSession(start, over: try host.connect(), output: CollectedOutput()).run()
        } catch {
            throw FleetError(.stillRunning, "the emulated host does not tell whether a monitor is left over: \(error)")
        }
        guard case .exited(.exited(0)) = end else {
            throw FleetError(.stillRunning, "the machine's monitor is left over in the emulated host and does not end")
        }
    }
}
