import CLinux
import Glibc
import HostFiles
import LinuxCalls

/// A control group on this computer, of either version. Sources: cgroups(7), Documentation/admin-guide/cgroup-v2.rst.
struct LocalControlGroup {
    private static let mostBytes = 1 << 20
    private static let patienceNanoseconds: UInt64 = 3_000_000_000

    let name: String
    /// Where it was made; empty where that is not known.
    var known = ""
    var mounts = "/proc/self/mountinfo"
    var memberships = "/proc/self/cgroup"

    /// Where the processor's controller is.
    struct Hierarchy: Equatable {
        var mount: String
        var isUnified: Bool
        /// Groups that this process may make others in, perhaps: the top, then from its own upwards.
        var bases: [String]
    }

    /// Makes the group, or takes the one that is there, and moves a process into it with all its threads.
    /// - Returns: where it is.
    func apply(_ settings: ControlGroups.Settings, to process: Int32?) throws(FleetError) -> String {
        guard let hierarchy = hierarchy() else {
            throw Self.refused("no control groups with a processor's controller are mounted")
        }
        let values = hierarchy.isUnified ? settings.unified : settings.legacy
        var reason: String?
        let known = known.hasSuffix("/" + name) ? [String(known.dropLast(name.utf8.count + 1))] : []
        for base in known + hierarchy.bases {
            let group = HostPath(base).appending(name)
            do throws(HostFileError) {
                if hierarchy.isUnified { try Self.enableController(HostPath(base)) }
                try group.makeFolders(mode: 0o755)
                for (file, value) in values { try Self.write(value, group.appending(file)) }
                if let process { try Self.write("\(process)", group.appending("cgroup.procs")) }
                return group.description
            } catch {
                // SAFETY: the text is valid during the call.
                unsafe rmdir(group.description)
                if reason == nil { reason = "\(error)" }
            }
        }
        throw Self.refused(reason ?? "there is none that could hold one")
    }

    private static func refused(_ reason: String) -> FleetError {
        FleetError(
            .noControlGroup,
            "no control group can be made for the machine, which --cpus below its processors and --cpu-shares need: \(reason); run as root, or have systemd delegate the cpu controller to you (Delegate=cpu in user@.service), or leave them out"
        )
    }

    /// - Returns: whether it is gone. A process that ends holds it for a moment longer.
    func remove() -> Bool {
        let groups = known.isEmpty ? (hierarchy()?.bases ?? []).map { "\($0)/\(name)" } : [known]
        let end = Clock.monotonic.nanoseconds() + Self.patienceNanoseconds
        for group in groups where group.hasSuffix("/" + name) {
            while true {
                // SAFETY: the text is valid during the call.
                if unsafe rmdir(group) == 0 || errno != EBUSY { break }
                if Clock.monotonic.nanoseconds() > end { return false }
                LinuxCalls.sleep(nanoseconds: 10_000_000)
            }
        }
        return true
    }

    private static func enableController(_ base: HostPath) throws(HostFileError) {
        let control = base.appending("cgroup.subtree_control")
        if words(control).contains("cpu") { return }
        try write("+cpu", control)
    }

    private static func words(_ path: HostPath) -> [Substring] {
        guard let bytes = try? path.readWhole(limit: mostBytes) else { return [] }
        return String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isWhitespace)
    }

    private static func write(_ value: String, _ path: HostPath) throws(HostFileError) {
        try HostFile(path, [.writeOnly]).write(Array(value.utf8))
    }

    /// Nil where there is none. A controller is in one hierarchy only: that of version 1 where it is mounted there.
    func hierarchy() -> Hierarchy? {
        var unified: (mount: String, root: String)?
        for line in lines(mounts) {
            // Source: proc_pid_mountinfo(5): root and mount point are the fourth and fifth, type and options behind " - ".
            let halves = line.components(separatedBy: " - ")
            let fields = halves[0].split(separator: " ").map(String.init)
            let kind = halves.count > 1 ? halves[1].split(separator: " ").map(String.init) : []
            guard fields.count > 4, kind.count > 2 else { continue }
            if kind[0] == "cgroup", kind[2].split(separator: ",").contains("cpu") {
                return hierarchy(mount: fields[4], root: fields[3], isUnified: false)
            }
            if kind[0] == "cgroup2", unified == nil { unified = (fields[4], fields[3]) }
        }
        guard let unified, Self.words(HostPath(unified.mount).appending("cgroup.controllers")).contains("cpu") else {
            return nil
        }
        return hierarchy(mount: unified.mount, root: unified.root, isUnified: true)
    }

    private func hierarchy(mount: String, root: String, isUnified: Bool) -> Hierarchy {
        var bases = [mount]
        for line in lines(memberships) {
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 3,
                isUnified ? parts[0] == "0" && parts[1].isEmpty : parts[1].split(separator: ",").contains("cpu")
            else { continue }
            var own = parts[2]
            if root != "/", own.hasPrefix(root) { own = String(own.dropFirst(root.count)) }
            guard own.hasPrefix("/"), !own.split(separator: "/").contains("..") else { continue }
            while own.count > 1 {
                bases.append(mount + own)
                own = String(own[..<(own.lastIndex(of: "/") ?? own.startIndex)])
            }
        }
        return Hierarchy(mount: mount, isUnified: isUnified, bases: bases)
    }

    private func lines(_ path: String) -> [String] {
        guard let bytes = try? HostPath(path).readWhole(limit: Self.mostBytes) else { return [] }
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
    }
}

extension String {
    /// The pieces between occurrences of another text.
    fileprivate func components(separatedBy separator: String) -> [String] {
        var pieces: [String] = []
        var rest = self[...]
        while let range = rest.firstRange(of: separator) {
            pieces.append(String(rest[..<range.lowerBound]))
            rest = rest[range.upperBound...]
        }
        return pieces + [String(rest)]
    }
}
