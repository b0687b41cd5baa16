import ChildProcesses
import HostFiles
import LinuxCalls

/// The programs of e2fsprogs on this computer.
enum FileSystemTools {
    /// Where they are, also for those whose search path has only what everybody may do.
    private static let folders = ["/usr/sbin", "/sbin", "/usr/local/sbin"]

    /// Makes an empty ext4 on a file of the right size that is one hole.
    ///
    /// Nothing is kept for root, for there is only the program; a kernel that finds damage stops writing. That the file is
    /// zero already is said, so that nobody writes zeroes to it.
    static func format(_ disk: HostPath, label: String) throws(VolumeError) {
        let output = try run([
            "mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0", "-e", "remount-ro", "-L",
            String(label.prefix(16)),
            "-E", "lazy_itable_init=1,lazy_journal_init=1,assume_storage_prezeroed=1", disk.description,
        ])
        guard output.isSuccess else {
            throw VolumeError(.tool, "the volume's file system could not be made: \(line(output.text))")
        }
    }

    /// What e2fsck says, and whether there is nothing (more) to complain of.
    static func check(_ disk: HostPath, repairs: Bool) throws(VolumeError) -> (isWhole: Bool, text: String) {
        let output = try run(["e2fsck", "-f", repairs ? "-y" : "-n", disk.description])
        // 1: errors were corrected. Source: e2fsck(8).
        return (output.isSuccess || repairs && output.ending == .exited(1), output.text)
    }

    private static func run(_ arguments: [String]) throws(VolumeError) -> ChildProcess.Output {
        var arguments = arguments
        let name = arguments[0]
        if let folder = folders.first(where: { HostPath("\($0)/\(name)").exists }) {
            arguments[0] = "\(folder)/\(name)"
        }
        do throws(LinuxError) { return try ChildProcess.output(of: ChildProcess.Settings(arguments)) } catch {
            throw VolumeError(.tool, "\(name) cannot be run (\(error)); install e2fsprogs, 1.47 or newer")
        }
    }

    private static func line(_ text: String) -> String {
        text.split(whereSeparator: \.isNewline).joined(separator: " ")
    }
}
