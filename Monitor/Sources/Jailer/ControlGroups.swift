import LinuxCalls

/// The control groups of one machine, of either version. Sources: cgroups(7), Documentation/admin-guide/cgroup-v2.rst.
struct ControlGroups: Equatable {
    /// A folder of the control group file system, and what is written in it.
    struct Group: Equatable {
        /// Where the hierarchy is mounted.
        var mount: [UInt8]
        /// Below it, without a slash in front.
        var path: [UInt8]
        var settings: [(file: String, value: String)] = []

        static func == (left: Self, right: Self) -> Bool {
            left.mount == right.mount && left.path == right.path
                && left.settings.elementsEqual(right.settings) { $0.file == $1.file && $0.value == $1.value }
        }
    }

    private(set) var groups: [Group] = []
    let isUnified: Bool

    /// - Returns: nil when nothing is asked for.
    init?(
        version: String, settings: [String], parent: String, identifier: String
    ) throws(JailerFault) {
        let mounts: [UInt8]
        do throws(LinuxError) {
            let file = try open("/proc/mounts", .readOnly)
            mounts = try FileTree.contents(file.number, maximumBytes: 1 << 20)
        } catch { throw .host(doing: "read /proc/mounts", error) }
        try self.init(version: version, settings: settings, parent: parent, identifier: identifier, mounts: mounts)
    }

    /// - Parameter mounts: what `/proc/mounts` says.
    init?(
        version: String, settings: [String], parent: String, identifier: String, mounts: [UInt8]
    ) throws(JailerFault) {
        try Self.check(parent: parent)
        isUnified = version == "2"
        if settings.isEmpty { return nil }
        guard version == "1" || version == "2" else { throw .noHierarchy }
        let hierarchies = Self.hierarchies(mounts, isUnified: isUnified)
        if hierarchies.isEmpty { throw .noHierarchy }
        for text in settings {
            guard let (file, value) = JailerPlan.split(text), !file.isEmpty, !value.isEmpty else {
                throw .groupFormat(text)
            }
            if file.utf8.contains(0x2f) { throw .groupFile(text) }
            guard let controller = Self.controller(of: file) else { throw .groupFile(file) }
            guard let mount = hierarchies.first(where: { isUnified || $0.options.contains(controller) })?.mount else {
                throw .controllerUnavailable(controller)
            }
            let path = Array("\(parent)/\(identifier)".utf8)
            if let index = groups.firstIndex(where: { $0.mount == mount }) {
                groups[index].settings.append((file, value))
            } else {
                groups.append(Group(mount: mount, path: path, settings: [(file, value)]))
            }
        }
    }

    /// What stands before the first dot.
    private static func controller(of file: String) -> String? {
        guard let dot = file.utf8.firstIndex(of: 0x2e), dot != file.utf8.startIndex else { return nil }
        return String(decoding: file.utf8[..<dot], as: UTF8.self)
    }

    private static func check(parent: String) throws(JailerFault) {
        let parts = parent.utf8.split(separator: 0x2f, omittingEmptySubsequences: false)
        let isBad = parts.contains { $0.isEmpty || $0.elementsEqual(".".utf8) || $0.elementsEqual("..".utf8) }
        if isBad { throw .parentGroup }
    }

    /// Those that are mounted, with their options.
    private static func hierarchies(_ mounts: [UInt8], isUnified: Bool) -> [(mount: [UInt8], options: [String])] {
        var found: [(mount: [UInt8], options: [String])] = []
        for line in mounts.split(separator: 0x0a) {
            let fields = line.split(separator: 0x20)
            guard fields.count >= 4, fields[2].elementsEqual((isUnified ? "cgroup2" : "cgroup").utf8) else { continue }
            let options = fields[3].split(separator: 0x2c).map { String(decoding: $0, as: UTF8.self) }
            found.append((Array(fields[1]), options))
        }
        return found
    }

    // MARK: Making them

    /// Makes the groups, writes their settings, and puts this process into them.
    func enter() throws(JailerFault) {
        for group in groups {
            var whole = group.mount
            for part in group.path.split(separator: 0x2f) {
                if isUnified { try enableControllers(of: group, in: whole) }
                let before = whole
                whole += [0x2f] + part
                try make(whole)
                if !isUnified, group.settings.contains(where: { $0.file.utf8.starts(with: "cpuset.".utf8) }) {
                    try inherit(from: before, to: whole)
                }
            }
            for setting in group.settings { try write(setting.value, whole, setting.file) }
            try write("\(Children.own)", whole, isUnified ? "cgroup.procs" : "tasks")
        }
    }

    private func enableControllers(of group: Group, in folder: [UInt8]) throws(JailerFault) {
        let available = try read(folder, "cgroup.controllers")
        for setting in group.settings {
            // The core's own files belong to no controller.
            guard let controller = Self.controller(of: setting.file), controller != "cgroup" else { continue }
            let isThere = available.split(whereSeparator: { $0 == 0x20 || $0 == 0x0a })
                .contains { $0.elementsEqual(controller.utf8) }
            guard isThere else { throw .controllerUnavailable(controller) }
            try write("+\(controller)", folder, "cgroup.subtree_control")
        }
    }

    /// A new group of processors and memory nodes has none, and takes no process before it has.
    private func inherit(from parent: [UInt8], to folder: [UInt8]) throws(JailerFault) {
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let own = try read(folder, file)
            guard own.allSatisfy({ $0 == 0x0a }) else { continue }
            let given = try read(parent, file)
            try write(String(decoding: given.prefix { $0 != 0x0a }, as: UTF8.self), folder, file)
        }
    }

    private func make(_ folder: [UInt8]) throws(JailerFault) {
        do throws(LinuxError) { try FileTree.makeDirectory(folder, mode: 0o755) } catch {
            if error != .exists { throw .host(doing: "create directory \(Self.text(folder))", error) }
        }
    }

    private func read(_ folder: [UInt8], _ name: String) throws(JailerFault) -> [UInt8] {
        do throws(LinuxError) {
            let file = try FileTree.open(folder + [0x2f] + Array(name.utf8), .readOnly)
            return try FileTree.contents(file.number, maximumBytes: 64 << 10)
        } catch { throw .host(doing: "read \(Self.text(folder))/\(name)", error) }
    }

    private func write(_ value: String, _ folder: [UInt8], _ name: String) throws(JailerFault) {
        do throws(LinuxError) {
            let file = try FileTree.open(folder + [0x2f] + Array(name.utf8), .writeOnly)
            try writeAll(file.number, value)
        } catch { throw .host(doing: "write \"\(value)\" to \(Self.text(folder))/\(name)", error) }
    }

    private static func text(_ path: [UInt8]) -> String { String(decoding: path, as: UTF8.self) }
}
