import Glibc
import LinuxCalls

/// Tells what this machine can do, and what to do about the rest.
public struct Doctor: Sendable {
    private let settings: HostSettings
    /// Everything that is part of the product, by the names under which it was installed.
    private let parts: [String]

    /// - Parameter parts: full paths of the programs that runs need.
    public init(_ settings: HostSettings, parts: [String]) {
        self.settings = settings
        self.parts = parts
    }

    /// Every check, in the order in which a person wants to read them. Costs some tens of milliseconds.
    public func checks() -> [MachineCheck] {
        let kvm = KVMProbe.verdict()
        return [Self.check(kvm)] + emulatedHostChecks(isNeeded: !kvm.isUsable) + [
            partsCheck(), Self.tunnelCheck(), Self.controlGroupCheck(), memoryCheck(), diskCheck(), socketCheck(),
        ] + Self.limitChecks()
    }

    static func check(_ verdict: KVMVerdict) -> MachineCheck {
        MachineCheck(
            "kvm", verdict.isUsable ? .good : .limited, verdict.finding,
            meaning: verdict.isUsable
                ? nil : "guests run in the emulated host instead, and much slower", advice: verdict.advice)
    }

    private func emulatedHostChecks(isNeeded: Bool) -> [MachineCheck] {
        let reason = isNeeded ? "without it no guest runs on this machine" : "not needed here: KVM is usable"
        var checks = [emulatorCheck(isNeeded: isNeeded, reason: reason)]
        if let kernel = HostKernel(folder: settings.kernelFolder) {
            checks.append(MachineCheck("host-kernel", .good, "the emulated host's kernel \(kernel.release) is there"))
        } else {
            checks.append(
                MachineCheck(
                    "host-kernel", .good, "the emulated host's kernel is not fetched yet",
                    meaning: isNeeded
                        ? "the first start of the host fetches it (70 MB), and a newer QEMU if need be (15 MB)" : reason
                ))
        }
        let host = EmulatedHost(settings).running()
        checks.append(
            MachineCheck(
                "host", .good,
                host.map { "the emulated host runs (process \($0.emulatorProcess))" }
                    ?? "the emulated host does not run",
                meaning: isNeeded && host == nil ? "the first run starts it" : nil))
        return checks
    }

    private func emulatorCheck(isNeeded: Bool, reason: String) -> MachineCheck {
        guard HostFacts.program(settings.emulator) != nil else {
            let isInstalled = HostFacts.program("qemu-system-x86_64") != nil
            return MachineCheck(
                "qemu", isNeeded && !isInstalled ? .problem : .good,
                isInstalled ? "QEMU is installed, and not prepared yet" : "QEMU is not installed",
                meaning: isNeeded && isInstalled ? "the first start of the host prepares it" : reason,
                advice: isNeeded && !isInstalled ? "as root: apt-get install qemu-system-x86" : nil)
        }
        let version = TextFile.read(settings.emulatorVersionFile)?.split(separator: "\n").first.map(String.init) ?? ""
        let isSound = Self.isSoundEmulator(version: version)
        return MachineCheck(
            "qemu", isSound || !isNeeded ? .good : .limited, "QEMU \(version) is there",
            meaning: isSound ? nil : "guests may stand still, and the host with them",
            advice: isSound || !isNeeded
                ? nil : "install QEMU 8.1 or newer, and remove \(settings.emulator) to have it chosen anew")
    }

    /// Older ones lose changes of code that another processor is translating. Source: Scripts/setup-host.
    static func isSoundEmulator(version: String) -> Bool {
        let numbers = version.split(separator: ".").map { Int($0) ?? 0 }
        return !numbers.lexicographicallyPrecedes([8, 1])
    }

    private func partsCheck() -> MachineCheck {
        let missing = parts.filter { unsafe access($0, X_OK) != 0 }
        if missing.isEmpty { return MachineCheck("parts", .good, "every part of the product is there") }
        return MachineCheck(
            "parts", .problem, "missing, or not to be executed: \(missing.joined(separator: ", "))",
            meaning: "no guest can be started",
            advice: "install the product again, or point SWIFTLET_LIBEXEC at the folder that holds its parts")
    }

    static func tunnelCheck(_ path: String = "/dev/net/tun") -> MachineCheck {
        let meaning = "guests can have no network; everything else works"
        if unsafe access(path, F_OK) != 0 {
            return MachineCheck(
                "tun", .limited, "there is no \(path)", meaning: meaning, advice: "as root: modprobe tun")
        }
        do throws(LinuxError) {
            _ = try open(path, .readWrite)
        } catch {
            return MachineCheck(
                "tun", .limited, "\(path) does not open: \(error)", meaning: meaning,
                advice: "let this user open \(path), or make the tap device as root and name this user as its owner")
        }
        return MachineCheck(
            "tun", .good, "\(path) opens",
            meaning: HostFacts.isRoot ? nil : "networks are made by this user; `--network tap` still takes root")
    }

    static func controlGroupCheck(_ mounts: String? = TextFile.read("/proc/self/mounts")) -> MachineCheck {
        let types = Set(
            (mounts ?? "").split(separator: "\n").compactMap { line in
                line.split(separator: " ").dropFirst(2).first.map(String.init)
            })
        switch (types.contains("cgroup2"), types.contains("cgroup")) {
        case (true, false): return MachineCheck("cgroups", .good, "control groups, version 2")
        case (true, true), (false, true):
            return MachineCheck(
                "cgroups", .limited, "control groups, version 1 or both",
                meaning: "limits of groups of machines are not set; each machine's own limits are",
                advice: "start the kernel with systemd.unified_cgroup_hierarchy=1")
        case (false, false):
            return MachineCheck(
                "cgroups", .limited, "no control groups are mounted",
                meaning: "limits of groups of machines are not set; each machine's own limits are",
                advice: "as root: mount -t cgroup2 cgroup2 /sys/fs/cgroup")
        }
    }

    private func memoryCheck() -> MachineCheck {
        let memory = HostFacts.memory()
        let finding = "\(memory.availableMebibytes) MiB of \(memory.totalMebibytes) MiB are available"
        if memory.availableMebibytes >= 1024 { return MachineCheck("memory", .good, finding) }
        return MachineCheck(
            "memory", memory.availableMebibytes < 256 ? .problem : .limited, finding,
            meaning: "few guests fit", advice: "end what takes memory, or give guests less with --memory")
    }

    private func diskCheck() -> MachineCheck {
        // The folder may not be there yet; then its file system is that of the nearest one above.
        var folder = settings.dataFolder
        while unsafe access(folder, F_OK) != 0, let slash = folder.lastIndex(of: "/"), folder != "/" {
            folder = slash == folder.startIndex ? "/" : String(folder[..<slash])
        }
        var status = statvfs()
        // SAFETY: the kernel fills the structure during the call.
        guard unsafe statvfs(folder, &status) == 0 else {
            return MachineCheck(
                "disk", .problem, "\(folder) cannot be looked at: \(LinuxError(errno))",
                advice: "set SWIFTLET_HOME to a folder that this user may write")
        }
        let mebibytes = UInt64(status.f_bavail) / 1024 * UInt64(status.f_frsize) / 1024
        let finding = "\(mebibytes) MiB are free at \(folder)"
        if unsafe access(folder, W_OK) != 0 {
            return MachineCheck(
                "disk", .problem, "\(folder) cannot be written", meaning: "images and machines cannot be kept",
                advice: "set SWIFTLET_HOME to a folder that this user may write")
        }
        if mebibytes >= 2048 { return MachineCheck("disk", .good, finding) }
        return MachineCheck(
            "disk", mebibytes < 256 ? .problem : .limited, finding, meaning: "images and kernels take space",
            advice: "remove images (`swiftlet image remove`), or set SWIFTLET_HOME to a folder on a larger disk")
    }

    private func socketCheck() -> MachineCheck {
        // Source: unix(7), a path has 107 bytes; a machine's own part of it takes up to 40.
        let length = settings.runtimeFolder.utf8.count
        if length + 40 <= UnixSocket.maximumPathBytes {
            return MachineCheck("sockets", .good, "the runtime folder's path is short enough for sockets")
        }
        return MachineCheck(
            "sockets", .problem, "the runtime folder's path is too long for sockets: \(settings.runtimeFolder)",
            meaning: "machines cannot be reached", advice: "set SWIFTLET_RUNTIME to a shorter path")
    }

    private static func limitChecks() -> [MachineCheck] {
        [
            limitCheck("open-files", __rlimit_resource_t(7), "open files", atLeast: 1024, option: "-n"),
            limitCheck("processes", __rlimit_resource_t(6), "processes and threads", atLeast: 512, option: "-u"),
        ]
    }

    /// Source: getrlimit(2), RLIMIT_NPROC 6, RLIMIT_NOFILE 7.
    private static func limitCheck(
        _ name: String, _ resource: __rlimit_resource_t, _ what: String, atLeast least: UInt, option: String
    ) -> MachineCheck {
        var limit = rlimit()
        // SAFETY: the kernel fills the structure during the call.
        guard unsafe getrlimit(resource, &limit) == 0 else {
            return MachineCheck(name, .limited, "the limit of \(what) cannot be read")
        }
        let current = UInt(limit.rlim_cur)
        let finding = current > 1 << 40 ? "\(what) are not limited" : "at most \(current) \(what)"
        if current >= least { return MachineCheck(name, .good, finding) }
        return MachineCheck(
            name, .limited, finding, meaning: "few machines can run at once", advice: "ulimit \(option) \(least * 8)")
    }
}
