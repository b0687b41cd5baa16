import ChildProcesses
import LinuxCalls

/// The host's kernel with its modules, as `setup-host` lays them out.
struct HostKernel: Equatable, Sendable {
    let folder: String
    let release: String
    /// Below `lib/modules/RELEASE`, in the order in which they are to be loaded.
    let bootModules: [String]

    /// What lies in the folder; nil when it is not complete.
    init?(folder: String) {
        guard TextFile.read(folder + "/complete") != nil,
            let release = TextFile.read(folder + "/release")?.split(separator: "\n").first,
            let modules = TextFile.read(folder + "/boot-modules")
        else { return nil }
        self.folder = folder
        self.release = String(release)
        bootModules = modules.split(separator: "\n").map(String.init)
    }

    var image: String { folder + "/vmlinux" }

    /// What lies in the folder, fetched first where it is missing. That takes some ten seconds and needs the
    /// distribution's archive.
    static func prepare(_ settings: HostSettings, report: (String) -> Void) throws(HostError) -> HostKernel {
        if let kernel = HostKernel(folder: settings.kernelFolder), HostFacts.program(settings.emulator) != nil {
            return kernel
        }
        report("fetching the emulated host's kernel, once")
        var child = ChildProcess.Settings([settings.setUpScript])
        child.environment =
            ["PATH=\(HostFacts.environment("PATH") ?? "/usr/sbin:/usr/bin:/sbin:/bin")"]
            + ["HOME=\(HostFacts.environment("HOME") ?? "/")", "SWIFTLET_HOST_KERNEL=\(settings.kernelFolder)"]
            + ["http_proxy", "https_proxy", "no_proxy"].compactMap { name in
                HostFacts.environment(name).map { "\(name)=\($0)" }
            }
        let output: ChildProcess.Output
        do throws(LinuxError) { output = try ChildProcess.output(of: child) } catch {
            throw HostError(.missingPart, "cannot run \(settings.setUpScript): \(error)")
        }
        guard output.isSuccess else {
            let words = output.text.split(separator: "\n").suffix(3).joined(separator: "; ")
            throw HostError(.missingPart, "the emulated host's parts could not be fetched: \(words)")
        }
        guard let kernel = HostKernel(folder: settings.kernelFolder) else {
            throw HostError(.missingPart, "\(settings.setUpScript) left no kernel in \(settings.kernelFolder)")
        }
        return kernel
    }

    /// The host's initial file system: the agent as its first process, the modules that it loads before the outer file
    /// system is there, and busybox, as which the kernel runs `modprobe` for all others.
    func initialFileSystem(agent: String) throws(HostError) -> [UInt8] {
        var archive = CPIOArchive()
        let folders = [
            "dev", "proc", "sys", "run", "tmp", "root", "bin", "sbin", "lib", "lib/modules", "modules", "outer",
        ]
        for name in folders { archive.addFolder(name) }
        archive.addFile("init", mode: 0o755, content: try HostFolder.content(agent))
        archive.addFile("bin/busybox", mode: 0o755, content: try HostFolder.content(folder + "/busybox"))
        archive.addLink("sbin/modprobe", to: "../bin/busybox")
        var names = ""
        for module in bootModules {
            let name = String(module.split(separator: "/").last ?? "")
            archive.addFile(
                "modules/" + name, content: try HostFolder.content("\(folder)/lib/modules/\(release)/\(module)"))
            names += name + "\n"
        }
        archive.addFile("modules/order", content: Array(names.utf8))
        archive.finish()
        return archive.bytes
    }
}
