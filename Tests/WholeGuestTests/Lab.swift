import AgentClient
import AgentProtocol
import ChildProcesses
import EmulatedHost
import Foundation
import GuestKernels
import HostFiles
import ImageStore
import LinuxCalls
import Testing

@testable import Fleet

extension Tag {
    /// Boots a whole machine.
    @Tag static var guest: Self
}

/// Where whole guests are run: this machine, or the emulated host, with the product as `make build` leaves it.
enum Lab {
    static let paths = ProductPaths.standard()
    static let kernels = KernelStore(root: paths.kernels)

    /// Whether tests that take long and seldom find more are asked for, too: `make test-all` does.
    static let isEverythingAskedFor = ProcessInfo.processInfo.environment["SWIFTLET_TEST_ALL"] == "yes"

    /// Where what is tested is hardly the kernel's.
    static let representativeKernels = isEverythingAskedFor ? ["swiftlet", "debian-cloud"] : ["swiftlet"]

    /// Why no guest can be run; nil when one can.
    static let obstacle: Comment? = {
        guard HostPath(paths.monitor).exists else {
            return "no monitor at \(paths.monitor): `make test` builds it, and says where it is by SWIFTLET_LIBEXEC"
        }
        guard (try? kernels.resolve("swiftlet")) != nil, (try? kernels.resolve("debian-cloud")) != nil else {
            return "not both kernels in \(paths.kernels): `make kernel` puts them there"
        }
        guard (try? image()) != nil else { return "no image \"busybox\" in \(paths.images): `make image` makes it" }
        guard HostPath(partsFolder + "/vmlinuz").exists else {
            return "no \(partsFolder)/vmlinuz: Scripts/setup-guest-tests puts it there"
        }
        return nil
    }()

    static func image() throws -> StoredImage { try ImageStore(root: paths.images).resolve("busybox") }

    /// What `Scripts/setup-guest-tests` has taken from the distribution's package.
    static let partsFolder: String = {
        let folder = (try? HostPath("/proc/self/cwd").linkTarget()) ?? []
        return String(decoding: folder, as: UTF8.self) + "/build/guest-tests"
    }()

    static func launcher() throws -> any MonitorLauncher { try Launchers.choose(paths) { print($0) } }

    struct CommandFailed: Error { let text: String }

    /// Runs a shell script where the monitors run, and gives back what it wrote; it must succeed.
    @discardableResult
    static func onHost(_ script: String) throws -> String {
        guard try launcher().isEmulated, let host = try EmulatedHost(Launchers.hostSettings(paths)).running() else {
            return try shellHere(script)
        }
        let output = CollectedOutput()
        let start = host.start(
            ["/bin/sh", "-euc", script], environment: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], workingDirectory: "/",
            streams: .pipes(input: false, output: true, error: true))
        let session = try ProcessSession(start, over: try host.connect(), output: output)
        session.endpoint = host
        session.silenceAfterExit = ProcessSession.emulatedSilenceAfterExit
        guard case .exited(let status) = try session.run(), status.shellStatus == 0 else {
            throw CommandFailed(text: output.text(of: .standardOutput) + output.text(of: .standardError))
        }
        return output.text(of: .standardOutput)
    }
}

/// Every test with whole guests lies in here: they run one after the other, for each takes the whole machine.
@Suite(
    .tags(.guest), .serialized,
    .enabled(if: Lab.obstacle == nil, Lab.obstacle ?? ""))
enum WholeGuestTests {}

/// Runs a shell script on this machine; it must succeed.
@discardableResult
func shellHere(_ script: String) throws -> String {
    let output = try ChildProcess.output(of: ChildProcess.Settings(["/bin/sh", "-euc", script]))
    guard output.isSuccess else { throw Lab.CommandFailed(text: output.text) }
    return output.text
}
