import AgentProtocol
import CLinux
import ChildPrograms
import FabricProtocol
import Foundation
import Glibc
import LinuxCalls
import Testing
import WireFormats

@testable import FabricEngine

func appliance(
    _ name: String, _ inside: UInt16, failsOpen: Bool = true,
    patience: UInt32? = InlineAppliance.usualPatienceMilliseconds
) -> InlineAppliance {
    InlineAppliance(
        name: name, inside: inside, outside: inside + 1, failsOpen: failsOpen, patienceMilliseconds: patience)
}

func pause(_ milliseconds: UInt64) { sleep(nanoseconds: milliseconds * 1_000_000) }

/// Waits until something is so, at most a minute.
func soon(_ condition: () throws -> Bool) throws {
    for _ in 0..<6000 {
        if try condition() { return }
        pause(10)
    }
    Issue.record("it has not become so")
}

/// Two machines in a network, and ends for three appliances, of which the third has one.
struct ServedFabric: Sendable {
    let folder: EngineFolder
    let machine = member(1)
    let other = member(2)

    private static func member(_ number: UInt8) -> FabricPort {
        FabricPort(
            number: UInt16(number), network: "lan", hardwareAddress: [2, 0, 0, 0, 0, number])
    }

    /// With an engine that serves it on a thread of its own, in a network that goes with the process.
    /// - Parameter program: of the processes of stretches.
    init(program: ByteString = ByteString(engineProgram)) throws {
        folder = EngineFolder("/tmp/fabric-\(getpid())")
        // CLONE_NEWNET: for this thread, and those that it starts.
        guard linux_system_call(Int(__NR_unshare), 0x4000_0000, 0, 0, 0, 0, 0) == 0 else { throw LinuxError(errno) }
        try EngineFolder.make(folder.path)
        let folder = folder
        try startThread {
            do {
                _ = try setBlockedSignals(SignalSet(bits: .max))
                let engine = try Engine(folder)
                engine.program = program
                try EngineServer(engine, folder).run()
            } catch { report("the engine does not serve: \(error)") }
        }
        try soon { (try? UnixSocket.connect(folder.socket)) != nil }
        try set([])
        // What waits for somebody who is not given a processor is not to be lost for that.
        for end: UInt16 in [1, 2, 11, 12, 21, 22] {
            _ = Programs.run(["/usr/sbin/ip", "link", "set", ByteString(FabricPort.tap(end)), "txqueuelen", "50000"])
        }
    }

    /// Ends the engine and takes what it has written away.
    func end() {
        _ = try? ask(.end)
        try? FileManager.default.removeItem(atPath: folder.path)
    }

    func change(
        _ line: [InlineAppliance], mirrors: [UInt16] = [], _ impairment: Impairment? = nil
    ) -> FabricChange {
        var change = FabricChange()
        change.networks = [FabricNetwork(name: "lan", number: 1, prefixes: [])]
        var machine = machine
        machine.line = line
        machine.mirrors = mirrors
        machine.impairment = impairment
        change.ports = [11, 12, 21, 22, 31, 32].map {
            FabricPort(number: $0, network: nil, hardwareAddress: [2, 0, 0, 0, 0, 0])
        }
        change.ports += [machine, other]
        return change
    }

    func set(_ line: [InlineAppliance], mirrors: [UInt16] = [], _ impairment: Impairment? = nil) throws {
        try ask(.change(change(line, mirrors: mirrors, impairment)))
    }

    @discardableResult
    func ask(_ request: FabricRequest) throws -> JSONValue {
        var bytes: [UInt8] = []
        request.document.write(to: &bytes)
        let answer = try JSONParser.parse(try EngineProcess.ask(folder, bytes))
        if let error = answer.text("error") {
            report("refused: \(error)")
            throw FabricFault(error)
        }
        return answer
    }

    func state(of inside: UInt16) throws -> (isFailing: Bool, isInLine: Bool) {
        let states = try ask(.report)["appliances"]?.elements ?? []
        guard let state = states.first(where: { $0.integer("inside") == Int64(inside) }),
            let isFailing = state.boolean("is_failing"), let isInLine = state.boolean("is_in_line")
        else { throw FabricFault("nothing is known of \(inside)") }
        return (isFailing, isInLine)
    }
}
