import AgentProtocol
import CLinux
import ChildPrograms
import FabricProtocol
import Foundation
import Glibc
import LinuxCalls
import Testing

@testable import FabricEngine

let mayRunEngines =
    unsafe geteuid() == 0 && access("/dev/net/tun", R_OK | W_OK) == 0
    && ["/usr/sbin/nft", "/usr/sbin/dnsmasq", "/usr/sbin/ip", "/usr/bin/env"].allSatisfy {
        FileManager.default.isExecutableFile(atPath: $0)
    } && Programs.run(["/usr/bin/env", "python3", "-c", "pass"]).hasSucceeded
let enginesTakeRoot = "an engine takes root, /dev/net/tun, nft, dnsmasq, ip and python3"

/// As it was built beside the tests.
let engineProgram = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: ".build/debug/swiftlet-fabric").path

/// What stands for this computer: a network and mounts that go with the process, and a folder.
struct TestComputer {
    let folder: EngineFolder

    init() throws {
        _ = try setBlockedSignals(SignalSet(bits: .max))
        // CLONE_NEWNET, CLONE_NEWNS; MS_REC, MS_PRIVATE
        guard linux_system_call(Int(__NR_unshare), 0x4000_0000 | 0x0002_0000, 0, 0, 0, 0, 0) == 0,
            unsafe mount("none", "/", nil, 0x4000 | 0x40000, nil) == 0,
            unsafe mount("none", "/run", "tmpfs", 0, nil) == 0
        else { throw LinuxError(errno) }
        folder = EngineFolder("/run/fabric")
        try EngineFolder.make(folder.path)
        try run("/usr/sbin/ip", "link", "set", "lo", "up")
    }

    /// An engine with a way out, whose namespace the thread is in from then on.
    func engine() throws -> (engine: Engine, wayOut: WayOut) {
        let namespace = try EngineNamespace(folder)
        let engine = try Engine(folder)
        let wayOut = WayOut(folder, try namespace.duplicate())
        engine.wayOut = wayOut
        engine.publisher = Publisher(wayOut)
        try engine.resume()
        return (engine, wayOut)
    }
}

/// What a program prints, without the last line's end.
@discardableResult
func run(_ arguments: String...) throws -> String {
    let outcome = Programs.run(arguments.map { ByteString($0) })
    guard outcome.hasSucceeded else {
        report("\(arguments): \(outcome.complaint) \(outcome.output)")
        throw FabricFault("\(arguments.joined(separator: " ")): \(outcome.complaint) \(outcome.output)")
    }
    return outcome.output.description.trimmingCharacters(in: .newlines)
}

func succeeds(_ arguments: String...) -> Bool { Programs.run(arguments.map { ByteString($0) }).hasSucceeded }

/// A guest that stands for the tests' purposes. Its answer.
func guest(_ arguments: String..., file: String = #filePath) throws -> String {
    let script = URL(filePath: file).deletingLastPathComponent().appending(path: "guest.py").path
    let outcome = Programs.run((["/usr/bin/env", "python3", script] + arguments).map { ByteString($0) })
    guard outcome.hasSucceeded else {
        report("\(arguments): \(outcome.complaint)")
        throw FabricFault("\(arguments): \(outcome.complaint)")
    }
    return outcome.output.description.trimmingCharacters(in: .newlines)
}

func network(
    _ name: String, _ number: UInt16, _ prefix: String, _ change: (inout FabricNetwork) -> Void = { _ in }
) -> FabricNetwork {
    var network = FabricNetwork(name: name, number: number, prefixes: [NetworkPrefix(prefix)].compactMap { $0 })
    change(&network)
    return network
}

func port(_ number: UInt16, _ network: String, _ address: String, station: UInt8? = nil) -> FabricPort {
    FabricPort(
        number: number, network: network,
        hardwareAddress: [2, 0, 0, 0, UInt8(number >> 8), station ?? UInt8(truncatingIfNeeded: number)],
        addresses: [IPAddress(address)].compactMap { $0 }, names: ["m\(number)"])
}

func change(
    _ networks: [FabricNetwork] = [], _ ports: [FabricPort] = [], without: [UInt16] = [],
    withoutNetworks: [String] = [], isWhole: Bool = false
) -> FabricChange {
    var change = FabricChange()
    change.networks = networks
    change.ports = ports
    change.removedPorts = without
    change.removedNetworks = withoutNetworks
    change.isWhole = isWhole
    return change
}

/// For people: the parent shows it.
func report(_ line: String) { try? writeAll(2, line + "\n") }

func show(_ result: ExitTest.Result?) {
    print(String(decoding: result?.standardErrorContent ?? [], as: UTF8.self), terminator: "")
}
