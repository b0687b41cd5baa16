import LinuxCalls

/// Makes the place that a monitor is to be confined to, and becomes that monitor in it: Firecracker's jailer.
///
/// Needs root. Everything stays as it is when the monitor ends; whoever started the jailer clears it away.
public enum Jailer {
    /// When the process began: what the monitor is told of it.
    public struct Start: Sendable {
        let nanoseconds = Clock.monotonic.nanoseconds()
        public init() {}
    }

    /// Returns only with why not, or, with a PID namespace of its own, when the monitor has been started in a child.
    public static func run(_ invocation: JailerInvocation, since start: Start) throws(JailerFault) {
        ProcessSetup.closeDescriptors(from: 3)
        let plan = try JailerPlan(invocation)
        ProcessSetup.setFileCreationMask(0o022)
        try makePlace(plan)
        for (resource, value) in plan.limits {
            try host("set a limit") { () throws(LinuxError) in try ProcessSetup.limit(resource, to: value) }
        }
        try plan.controlGroups?.enter()
        if let path = invocation.networkNamespacePath {
            do throws(LinuxError) {
                let namespace = try open(path, .readOnly)
                try ProcessSetup.joinNetwork(namespace.number)
            } catch { throw .host(doing: "open file \(path)", error) }
        }
        // Out of sight afterwards.
        let numbers = miscellaneousDevices()
        var nowhere: FileDescriptor?
        if invocation.isDaemon {
            do throws(LinuxError) { nowhere = try open("/dev/null", .readWrite) } catch {
                throw .host(doing: "open /dev/null", error)
            }
        }
        try moveRoot(plan.folder)
        try makeDevices(plan, numbers)
        if let nowhere {
            try host("leave the session") { () throws(LinuxError) in
                try ProcessSetup.beginSession()
                try ProcessSetup.replaceStandardStreams(with: nowhere.number)
            }
        }
        nowhere = nil
        let pidFile = [0x2f] + plan.programName + Array(".pid".utf8)
        if invocation.hasProcessNamespace {
            var child: Int32?
            try host("clone into a new PID namespace") { () throws(LinuxError) in
                child = try ProcessSetup.forkIntoProcessNamespace()
            }
            if let child { return try write("\(child)", pidFile) }
        } else {
            try write("\(Children.own)", pidFile)
        }
        throw become(plan, invocation, since: start)
    }

    private static func host(
        _ step: String, _ body: () throws(LinuxError) -> Void
    ) throws(JailerFault) {
        do throws(LinuxError) { try body() } catch { throw .host(doing: step, error) }
    }

    // MARK: The place

    /// The folder, with the program in it.
    private static func makePlace(_ plan: JailerPlan) throws(JailerFault) {
        var made: [UInt8] = []
        for part in plan.folder.split(separator: 0x2f) {
            made += [0x2f] + part
            do throws(LinuxError) {
                try FileTree.makeDirectory(made, mode: 0o755)
            } catch {
                if error != .exists {
                    throw .host(doing: "create directory \(String(decoding: plan.folder, as: UTF8.self))", error)
                }
            }
        }
        let target = plan.folder + [0x2f] + plan.programName
        try host("copy \(String(decoding: plan.program, as: UTF8.self)) into the jail") { () throws(LinuxError) in
            let source = try FileTree.open(plan.program, .readOnly)
            let size = try fileSizeBytes(source.number)
            // Never into a file that another machine may run, nor through a link that a jailed one has put there.
            do throws(LinuxError) { try FileTree.remove(target) } catch { if error != .noEntry { throw error } }
            let copy = try FileTree.open(target, [.writeOnly, .create, .exclusive, .noFollow], mode: 0o755)
            var offset: UInt64 = 0
            while offset < size {
                let piece = try readBytes(source.number, offset: offset, count: 1 << 18)
                if piece.isEmpty { break }
                try writeAll(copy.number, piece)
                offset += UInt64(piece.count)
            }
            try FileTree.setPermissions(copy.number, 0o755)
        }
    }

    private static func moveRoot(_ folder: [UInt8]) throws(JailerFault) {
        try host("move to a root of its own") { () throws(LinuxError) in
            try Namespaces.leave(.mount)
            try MountTable.mount([], at: [0x2f], type: [], [.recursive, .isPrivate])
            try MountTable.mount(folder, at: folder, type: [], .bind)
            try Namespaces.makeRoot(folder)
        }
    }

    /// The numbers of devices that have none of their own, by name. Source: proc(5), /proc/misc.
    private static func miscellaneousDevices() -> [(name: [UInt8], minor: UInt32)] {
        guard let file = try? open("/proc/misc", .readOnly),
            let text = try? FileTree.contents(file.number, maximumBytes: 64 << 10)
        else { return [] }
        return text.split(separator: 0x0a).compactMap { line in
            let fields = line.split(separator: 0x20)
            guard fields.count == 2, let minor = UInt32(String(decoding: fields[0], as: UTF8.self)) else {
                return nil
            }
            return (Array(fields[1]), minor)
        }
    }

    private static func makeDevices(
        _ plan: JailerPlan, _ numbers: [(name: [UInt8], minor: UInt32)]
    ) throws(JailerFault) {
        for folder in ["/", "/dev", "/dev/net", "/run"] {
            try host("create directory \(folder)") { () throws(LinuxError) in
                let path = Array(folder.utf8)
                do throws(LinuxError) { try FileTree.makeDirectory(path, mode: 0o700) } catch {
                    if error != .exists { throw error }
                }
                // What is there may be a link of somebody's who was jailed here before.
                let made = try FileTree.open(path, [.readOnly, .directory, .noFollow])
                try FileTree.setPermissions(made.number, 0o700)
                try FileTree.setOwner(in: made.number, user: plan.user, group: plan.group)
            }
        }
        // Source: Documentation/admin-guide/devices.txt.
        var devices: [(path: String, major: UInt32, minor: UInt32)] = [
            ("/dev/net/tun", 10, 200), ("/dev/kvm", 10, 232), ("/dev/urandom", 1, 9),
        ]
        if let device = numbers.first(where: { $0.name.elementsEqual("userfaultfd".utf8) }) {
            devices.append(("/dev/userfaultfd", 10, device.minor))
        }
        for device in devices {
            try host("create \(device.path) via mknod inside the jail") { () throws(LinuxError) in
                let path = Array(device.path.utf8)
                try ProcessSetup.makeCharacterDevice(path, major: device.major, minor: device.minor)
                try FileTree.setOwner(path, in: FileTree.current, user: plan.user, group: plan.group)
            }
        }
    }

    private static func write(_ text: String, _ path: [UInt8]) throws(JailerFault) {
        try host("write \(String(decoding: path, as: UTF8.self))") { () throws(LinuxError) in
            do throws(LinuxError) { try FileTree.remove(path) } catch { if error != .noEntry { throw error } }
            let file = try FileTree.open(path, [.writeOnly, .create, .exclusive, .noFollow], mode: 0o644)
            try writeAll(file.number, text)
        }
    }

    // MARK: The program

    private static func become(
        _ plan: JailerPlan, _ invocation: JailerInvocation, since start: Start
    ) -> JailerFault {
        do throws(LinuxError) { try ProcessSetup.become(user: plan.user, group: plan.group) } catch {
            return .host(doing: "become user \(plan.user) of group \(plan.group)", error)
        }
        let path = [0x2f] + plan.programName
        let used = Clock.processor.nanoseconds() / 1000
        let own = [
            "--id", plan.identifier, "--start-time-us", "\(start.nanoseconds / 1000)", "--start-time-cpu-us", "\(used)",
            "--parent-cpu-time-us", "\(used)",
        ]
        let error = ProcessSetup.execute(path, [path] + (own + invocation.rest).map { Array($0.utf8) })
        return .host(doing: "exec into \(String(decoding: plan.programName, as: UTF8.self))", error)
    }
}
