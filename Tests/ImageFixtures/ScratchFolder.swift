import Foundation
import Synchronization

/// A folder of a test's own, removed with everything in it when the test lets go of it.
public final class ScratchFolder: Sendable {
    public let path: String

    public init() throws {
        path = NSTemporaryDirectory() + "swiftlet-images-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { _ = try? run("rm", ["-rf", path]) }

    public func appending(_ name: String) -> String { path + "/" + name }

    /// Writes a file, and the folders on the way to it.
    @discardableResult
    public func write(_ name: String, _ bytes: [UInt8]) throws -> String {
        let file = appending(name)
        let folder = (file as NSString).deletingLastPathComponent
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try Data(bytes).write(to: URL(fileURLWithPath: file))
        return file
    }
}

/// What a program did.
public struct RunResult: Sendable {
    public let status: Int32
    public let output: String
}

/// Runs a program with its output, errors included, gathered. The search path of the test decides which.
@discardableResult
public func run(_ tool: String, _ arguments: [String], in folder: String? = nil) throws -> RunResult {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [tool] + arguments
    process.environment = ProcessInfo.processInfo.environment.merging(
        ["PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"]) { $1 }
    if let folder { process.currentDirectoryURL = URL(fileURLWithPath: folder) }
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    process.standardInput = FileHandle.nullDevice
    try process.run()
    let output = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return RunResult(status: process.terminationStatus, output: String(decoding: output, as: UTF8.self))
}

/// Runs a shell script that must succeed.
@discardableResult
public func shell(_ script: String, in folder: String) throws -> String {
    let result = try run("bash", ["-euc", script], in: folder)
    struct Failed: Error { let output: String }
    if result.status != 0 { throw Failed(output: result.output) }
    return result.output
}

/// Whether a program is installed.
public func hasTool(_ name: String) -> Bool {
    ["/usr/local/sbin/", "/usr/local/bin/", "/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/"].contains {
        FileManager.default.isExecutableFile(atPath: $0 + name)
    }
}

public func readFile(_ path: String) throws -> [UInt8] {
    Array(try Data(contentsOf: URL(fileURLWithPath: path)))
}

/// Whether this process may mount a loop device: root with devices for it.
public let canMount = hasTool("mount") && getuid() == 0 && FileManager.default.fileExists(atPath: "/dev/loop-control")
