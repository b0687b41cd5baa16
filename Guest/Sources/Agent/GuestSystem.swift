import AgentProtocol
import FileTransfer
import LinuxCalls

/// The machine that the agent looks after: its mounts, its name, its network, and the root that commands see.
final class GuestSystem {
    let role: AgentRole
    /// The root that commands see, for calls that must not leave it.
    var commandsRoot: Handle?
    /// Where that root lies for the agent itself: empty for `/`.
    var commandsRootPath: ByteString = ""
    /// The initramfs, kept so that the disks above it can be let go of at the end.
    var initramfs: Handle?
    var hostName: ByteString = ""
    /// Whether the files of names are this machine's own.
    var writesNameFiles = false
    /// The root's device, where there is a hash tree.
    var verifiedDisk: VerifiedDisk?

    /// The machine's settings, where it has a floppy.
    var settings: SettingsFiles?
    /// Who asks that they be kept.
    var settingsRequests: SettingsRequests?

    /// Where disks that were attached have been mounted, by their serial numbers.
    var attachedMounts: [(serial: ByteString, target: ByteString)] = []

    init(_ role: AgentRole) { self.role = role }

    func root() throws(LinuxError) -> Handle {
        if let commandsRoot { return commandsRoot }
        let root = Handle(try FileTree.open(ByteString("/").bytes, [.path, .directory]))
        commandsRoot = root
        return root
    }

    /// Opens a file as a command would find it.
    func open(_ path: ByteString, _ flags: OpenFlags) throws(LinuxError) -> FileDescriptor {
        try FileTree.open(path.bytes, asRoot: root().number, flags)
    }

    /// The folder that a path lies in, and its last part.
    func parent(of path: ByteString) throws(LinuxError) -> (Handle, ByteString) {
        guard let slash = path.bytes.lastIndex(of: UInt8(ascii: "/")) else { throw LinuxError.invalidArgument }
        let name = ByteString(path.bytes[(slash + 1)...])
        guard name.isFileName else { throw LinuxError.invalidArgument }
        return (Handle(try open(ByteString(path.bytes[...slash]), [.path, .directory])), name)
    }

    /// A name for a socket in an open folder, short enough for the kernel whatever the folder's own.
    func socketPath(in folder: Int32, _ name: ByteString) -> [UInt8] {
        ("/proc/self/fd/" + ByteString(UInt32(truncatingIfNeeded: folder)) + "/" + name).bytes
    }

    func status(_ path: ByteString) throws(Failure) -> FileStatus {
        do throws(LinuxError) {
            let file = try open(path, [.path])
            let facts = try FileTree.facts(in: file.number)
            return FileStatus(
                mode: facts.mode, userID: facts.userID, groupID: facts.groupID, sizeBytes: facts.sizeBytes,
                modifiedNanoseconds: UInt64(bitPattern: facts.modifiedNanoseconds))
        } catch {
            throw Failure(error == .noEntry ? .noSuchFile : .fileSystem, error, "\"" + path + "\"")
        }
    }

    /// Sets the clock if it is off by more than 50 ms.
    func correctClock(_ time: UInt64) {
        let now = Clock.realTime.nanoseconds()
        let difference = now > time ? now - time : time - now
        if difference > 50_000_000 { try? SystemControl.setRealTime(nanoseconds: time) }
    }

    var terminalMultiplexer: [UInt8] {
        let own = commandsRootPath + "/dev/pts/ptmx"
        let isThere = (try? FileTree.facts(own.bytes)) != nil
        return isThere ? own.bytes : ByteString("/dev/ptmx").bytes
    }

    /// Whether the machine can be switched off, and not only restarted. Source: Documentation/ABI/testing/sysfs-firmware-acpi.
    var canPowerOff: Bool { (try? FileTree.facts(ByteString("/sys/firmware/acpi/tables").bytes)) != nil }

    /// A line of the kernel's account of its memory, in bytes; zero where there is none. Source: proc_meminfo(5).
    static func memory(_ name: ByteString) -> UInt64 {
        guard let file = try? FileTree.open(ByteString("/proc/meminfo").bytes, .readOnly),
            let text = try? FileTree.contents(file.number, maximumBytes: 16 << 10)
        else { return 0 }
        for line in ByteString(text).split(0x0a) where line.hasPrefix(name) {
            var number: UInt64 = 0
            for byte in line.bytes where (0x30...0x39).contains(byte) { number = number &* 10 &+ UInt64(byte - 0x30) }
            return number &* 1024
        }
        return 0
    }

    /// Reads a small file as a command would find it; nil when it is not there or is too large.
    func contents(_ path: ByteString, maximumBytes: Int) -> [UInt8]? {
        guard let file = try? open(path, [.readOnly, .nonBlocking]) else { return nil }
        return try? FileTree.contents(file.number, maximumBytes: maximumBytes)
    }
}
