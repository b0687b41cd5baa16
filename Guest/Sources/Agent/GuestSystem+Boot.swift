import AgentProtocol
import FileTransfer
import GuestNetwork
import LinuxCalls

extension GuestSystem {
    /// What the first process does before it can speak to anybody: its own file systems, and the kernel's modules.
    static func mountOwnFileSystems() {
        SystemControl.setFileCreationMask(0o022)
        mount("proc", "/proc", "proc", [.noSetUserID, .noDevices, .noExecution])
        mount("devtmpfs", "/dev", "devtmpfs", [.noSetUserID], "mode=0755")
    }

    /// The words of the kernel's command line.
    static func kernelArguments() -> [ByteString] {
        guard let file = try? FileTree.open(ByteString("/proc/cmdline").bytes, .readOnly),
            let text = try? FileTree.contents(file.number, maximumBytes: 64 << 10)
        else { return [] }
        return text.split { $0 == 0x20 || $0 == 0x0a }.map { ByteString($0) }
    }

    /// Loads the modules that `/modules/order` names, in its order, and frees their memory. One that does not load is
    /// reported and passed over: the kernel may have it built in, or the machine may lack the device.
    static func loadModules() {
        let folder: ByteString = "/modules/"
        guard let order = try? FileTree.open((folder + "order").bytes, .readOnly),
            let text = try? FileTree.contents(order.number, maximumBytes: 64 << 10)
        else { return }
        for line in text.split(separator: 0x0a) {
            let name = ByteString(line)
            guard name.isFileName else { continue }
            do throws(LinuxError) {
                let module = try FileTree.open((folder + name).bytes, .readOnly)
                try SystemControl.loadModule(module.number)
            } catch {
                report("module " + name + ": " + error.text)
            }
            try? FileTree.remove((folder + name).bytes)
        }
        try? FileTree.remove((folder + "order").bytes)
        try? FileTree.remove(ByteString("/modules").bytes, isDirectory: true)
    }

    /// Waits until the kernel has measured its time stamp counter for the second time, better, a second after the first.
    /// KVM takes the counter's speed when it is loaded. Where the two differ by more than 250 parts per million, it refuses
    /// the first one to every processor that it makes, whose timers then never ring: the guest stands still.
    /// Source: Linux, arch/x86/kvm/x86.c, kvm_set_tsc_khz.
    static func awaitClock() {
        mountKernelFileSystems([.sys])
        for _ in 0..<100 {
            guard
                let file = try? FileTree.open(
                    ByteString("/sys/devices/system/clocksource/clocksource0/current_clocksource").bytes, .readOnly),
                let text = try? FileTree.contents(file.number, maximumBytes: 64)
            else { return }
            // Before that it is called "tsc-early".
            if text == ByteString("tsc\n").bytes { return }
            sleep(nanoseconds: 50_000_000)
        }
        report("the time stamp counter is not measured for good: guests may stand still")
    }

    /// The rest of what the emulated host needs, and its fixed address in QEMU's user network.
    static func bootHost() {
        mountKernelFileSystems([.controlGroups, .terminals, .sharedMemory, .run, .temporary])
        // Each machine has some connections from outside, and the kernel's own limit is 1,024.
        try? ProcessSetup.limit(.openFiles, to: 1 << 16)
        let gateway = IPAddress(v4: 10, 0, 2, 2)
        let any = IPAddress(v4: 0, 0, 0, 0)
        do throws(Failure) {
            try NetworkSetup.apply([
                Interface(
                    name: "eth0", addresses: [.init(IPAddress(v4: 10, 0, 2, 15), prefixLength: 24)],
                    routes: [.init(to: any, prefixLength: 0, via: gateway)])
            ])
        } catch {
            report(error.text)
        }
    }

    private struct KernelFileSystem {
        let part: StandardMounts
        let type: StaticString
        let target: StaticString
        let flags: MountFlags
        let options: StaticString
    }

    private static let kernelFileSystems = [
        KernelFileSystem(
            part: .sys, type: "sysfs", target: "/sys", flags: [.noSetUserID, .noDevices, .noExecution], options: ""),
        KernelFileSystem(
            part: .controlGroups, type: "cgroup2", target: "/sys/fs/cgroup",
            flags: [.noSetUserID, .noDevices, .noExecution], options: ""),
        KernelFileSystem(
            part: .terminals, type: "devpts", target: "/dev/pts", flags: [.noSetUserID, .noExecution],
            options: "mode=0620,gid=5,ptmxmode=0666"),
        KernelFileSystem(
            part: .sharedMemory, type: "tmpfs", target: "/dev/shm", flags: [.noSetUserID, .noDevices],
            options: "mode=1777"),
        KernelFileSystem(
            part: .run, type: "tmpfs", target: "/run", flags: [.noSetUserID, .noDevices], options: "mode=0755"),
        KernelFileSystem(
            part: .temporary, type: "tmpfs", target: "/tmp", flags: [.noSetUserID, .noDevices], options: "mode=1777"),
    ]

    /// Those of the kernel's own file systems that are wanted, besides `/proc` and `/dev`.
    static func mountKernelFileSystems(_ wanted: StandardMounts) {
        for each in kernelFileSystems where wanted.contains(each.part) {
            let type = ByteString(stringLiteral: each.type)
            mount(
                type, ByteString(stringLiteral: each.target), type, each.flags,
                ByteString(stringLiteral: each.options))
        }
    }

    /// Tells whoever started the emulated host that it can be reached.
    static func announceHost() { try? writeAll(2, ByteString("swiftlet-host: ready\n").bytes) }

    /// To the console: the host sees it when nothing else works.
    static func report(_ text: ByteString) { try? writeAll(2, ("swiftlet-agent: " + text + "\n").bytes) }

    static func mount(
        _ source: ByteString, _ target: ByteString, _ type: ByteString, _ flags: MountFlags,
        _ options: ByteString = ""
    ) {
        do throws(LinuxError) {
            try mountMakingTarget(source, target, type, flags, options)
        } catch {
            // A kernel without this file system can still run most programs. One mounted already is as good.
            if error != .busy { report("mount " + target + ": " + error.text) }
        }
    }

    static func mountMakingTarget(
        _ source: ByteString, _ target: ByteString, _ type: ByteString, _ flags: MountFlags, _ options: ByteString
    ) throws(LinuxError) {
        do throws(LinuxError) {
            try MountTable.mount(source.bytes, at: target.bytes, type: type.bytes, flags, options: options.bytes)
        } catch {
            guard error == .noEntry else { throw error }
            makePath(target)
            try MountTable.mount(source.bytes, at: target.bytes, type: type.bytes, flags, options: options.bytes)
        }
    }

    /// Makes a folder and those above it. What goes wrong shows at the next use.
    static func makePath(_ path: ByteString) {
        var folder: ByteString = ""
        for part in path.split(UInt8(ascii: "/")) where !part.isEmpty {
            folder += "/" + part
            try? FileTree.makeDirectory(folder.bytes, mode: 0o755)
        }
    }
}
