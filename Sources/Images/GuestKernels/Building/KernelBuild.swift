import ChildProcesses
import FoundationEssentials
import Glibc
import HostFiles
import LinuxCalls

/// One build of a kernel in a work folder: `source-VERSION/`, `objects/`, and `build.log`.
///
/// The result depends only on the source package, the configuration and the compiler: times, names of people and machines,
/// and the folder do not reach it.
struct KernelBuild {
    let package: DistributionPackage
    let configuration: String
    let folder: String
    let jobs: Int
    let progress: (KernelProgress) -> Void

    var source: String { "\(folder)/source-\(package.version)" }
    var objects: String { folder + "/objects" }
    var log: String { folder + "/build.log" }
    private var configurationFile: String { folder + "/wanted.config" }

    /// About how many files the project's own configuration compiles.
    static let expectedFiles = 1500

    /// Fetches and unpacks the source, unless that was done before.
    func unpackSource() throws(KernelError) {
        if HostPath(source).exists { return }
        progress(KernelProgress(.fetching, "\(package.name) \(package.version)"))
        let scratch = folder + "/unpacking"
        try? FileManager.default.removeItem(atPath: scratch)
        try storing { () throws(HostFileError) in try HostPath(scratch + "/tree").makeFolders() }
        let file = try package.fetch(into: scratch)
        progress(KernelProgress(.unpacking, package.name))
        try DistributionPackage.unpack(file, into: scratch + "/package")
        let archive = "\(scratch)/package/usr/src/\(package.name).tar.xz"
        guard HostPath(archive).exists else {
            throw KernelError(.unavailablePackage, "\(package.name) holds no usr/src/\(package.name).tar.xz")
        }
        try HostTool(
            ["tar", "--extract", "--xz", "--strip-components=1", "--file", archive, "--directory", scratch + "/tree"],
            package: "tar"
        ).run(orThrow: .invalidKernel, "unpacking \(archive)")
        try storing { () throws(HostFileError) in try HostPath(scratch + "/tree").rename(to: HostPath(source)) }
        try? FileManager.default.removeItem(atPath: scratch)
    }

    /// Makes the full configuration and checks that every symbol got the value that was asked for.
    func configure() throws(KernelError) {
        progress(KernelProgress(.configuring))
        let wanted = KernelConfiguration(configuration)
        if let symbol = wanted.repeated.first {
            throw KernelError(.invalidConfiguration, "the configuration gives \(symbol) more than once")
        }
        let last = folder + "/configured.config"
        let earlier = (try? HostPath(last).readWhole(limit: 1 << 20)).map { String(decoding: $0, as: UTF8.self) }
        let made = objects + "/.config"
        if earlier != configuration || !HostPath(made).exists {
            try storing { () throws(HostFileError) in
                try HostPath(objects).makeFolders()
                try HostPath(configurationFile).replaceWhole(Array(configuration.utf8))
            }
            var tool = make(["allnoconfig"])
            tool.environment.append("KCONFIG_ALLCONFIG=" + configurationFile)
            try tool.run(orThrow: .invalidConfiguration, "configuring the kernel")
        }
        let text = try storing { () throws(HostFileError) in try HostPath(made).readWhole(limit: 1 << 22) }
        let unmet = wanted.unmet(by: KernelConfiguration(String(decoding: text, as: UTF8.self)))
        guard unmet.isEmpty else {
            throw KernelError(
                .invalidConfiguration,
                "\(unmet.count) symbols did not get their value from \(package.name) \(package.version): "
                    + unmet.joined(separator: ", "))
        }
        try storing { () throws(HostFileError) in try HostPath(last).replaceWhole(Array(configuration.utf8)) }
    }

    /// Compiles, and leaves the kernel without its symbols at `target`.
    func compile(to target: String) throws(KernelError) {
        let child = try make(["-j\(jobs)", "vmlinux"]).start(output: log, errorsToo: true)
        var ending: ChildProcess.Ending?
        var latest = (files: 0, name: "")
        repeat {
            usleep(200_000)
            ending = child.endingIfEnded()
            latest = compiled()
            progress(
                KernelProgress(
                    .compiling, latest.name, stepsDone: latest.files,
                    stepsTotal: max(Self.expectedFiles, latest.files)))
        } while ending == nil
        guard ending == .exited(0) else {
            let text = (try? HostPath(log).readWhole(limit: 64 << 20)).map { String(decoding: $0, as: UTF8.self) } ?? ""
            let errors = text.split(separator: "\n").filter { $0.contains("rror") }.prefix(3)
            let kept = FileManager.default.temporaryDirectory.path + "/swiftlet-kernel-build.log"
            try? KernelStore.copy(log, to: kept)
            throw KernelError(
                .buildFailed,
                "building the kernel ended with \(ending?.words ?? "nothing"): "
                    + "\(errors.isEmpty ? HostTool.end(of: text) : errors.joined(separator: "; ")); all of it is in \(kept)"
            )
        }
        try HostTool(["strip", "--strip-all", "-o", target, objects + "/vmlinux"], package: "binutils")
            .run(orThrow: .buildFailed, "stripping the kernel")
    }

    /// What `uname -r` will say.
    func release() throws(KernelError) -> String {
        let file = objects + "/include/config/kernel.release"
        let text = try storing { () throws(HostFileError) in try HostPath(file).readWhole(limit: 256) }
        return String(decoding: text.prefix { $0 != 10 }, as: UTF8.self)
    }

    private func make(_ arguments: [String]) -> HostTool {
        var tool = HostTool(["make", "O=" + objects] + arguments, package: "make", folder: source)
        tool.environment = [
            "KBUILD_BUILD_TIMESTAMP=Thu Jan  1 00:00:00 UTC 1970", "KBUILD_BUILD_USER=swiftlet",
            "KBUILD_BUILD_HOST=swiftlet", "KBUILD_BUILD_VERSION=1", "SOURCE_DATE_EPOCH=0",
        ]
        return tool
    }

    /// How many files the log says were compiled, and the last of them.
    private func compiled() -> (files: Int, name: String) {
        guard let text = try? HostPath(log).readWhole(limit: 16 << 20) else { return (0, "") }
        let steps = text.split(separator: 10).filter {
            $0.starts(with: Array("  CC ".utf8)) || $0.starts(with: Array("  AS ".utf8))
        }
        let name = steps.last.map { String(decoding: $0.dropFirst(5), as: UTF8.self) } ?? ""
        return (steps.count, String(name.drop { $0 == " " }))
    }
}
