import Foundation
import HostFiles
import Testing

@testable import Fleet

/// A folder of a machine, removed afterwards.
private final class Scratch {
    let path = HostPath(NSTemporaryDirectory() + "line-\(UInt64.random(in: 0...UInt64.max))")

    init() throws { try path.makeFolders(mode: 0o700) }
    deinit { try? FileManager.default.removeItem(atPath: path.description) }
}

@Suite struct MachineLineTests {
    @Test func `what is in wires is read as it was written, and nothing is left of plain ones`() throws {
        let scratch = try Scratch()
        var line = try MachineLine.read(from: scratch.path)
        #expect(line.entries.isEmpty)
        line.wires["lan"] = [
            LineEntry(
                machine: "0123456789ab", name: "Ips_1", inside: 3, outside: 4, failsOpen: false, isBypassed: true,
                patienceMilliseconds: 5000),
            LineEntry(machine: "ba9876543210", name: "look", inside: 5, failsOpen: true, isBypassed: false),
        ]
        try line.write(to: scratch.path)
        #expect(try MachineLine.read(from: scratch.path) == line)
        let inline = try #require(line.entries[0].inline)
        #expect(inline.name == "0123456789ab", "a name that is none in the fabric is not told to it")
        #expect(inline.isBypassed && !inline.failsOpen && inline.patienceMilliseconds == 5000)
        #expect(line.entries[1].inline == nil && line.entries[1].ends == [5])
        line.wires["lan"] = nil
        try line.write(to: scratch.path)
        #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path.description).isEmpty)
    }

    @Test func `what becomes of frames between networks is written beside what is there, and alone`() throws {
        let scratch = try Scratch()
        var passages = Passages()
        let place = try passages.place(["a", "b"])
        #expect(passages.all[place].isPlain && passages.all[place].ports[0].impairment == nil)
        var impairment = WireImpairment()
        impairment.toNetwork.delayMicroseconds = 40_000
        passages.all[place].impairment = impairment
        try passages.write(to: scratch.path)
        #expect(try Passages.read(from: scratch.path) == passages)
        #expect(try passages.place(["b", "a"]) == place && !passages.all[place].isPlain)
        let port = try #require(passages.all[place].ports.last)
        #expect(port.joined == "a" && port.network == "b" && port.impairment == impairment.impairment)
    }

    @Test func `what becomes of frames is written beside, in the fabric's terms, and nothing is left of what is none`()
        throws
    {
        let scratch = try Scratch()
        var line = MachineLine()
        var impairment = WireImpairment()
        impairment.toNetwork.delayMicroseconds = 80_000
        impairment.toNetwork.lossPercent = 1.505
        impairment.toNetwork.duplicatePercent = 100
        impairment.toMachine.rateKilobitsPerSecond = 400
        line.impairments = ["lan": impairment]
        try line.write(to: scratch.path)
        #expect(try MachineLine.read(from: scratch.path) == line)
        let way = impairment.impairment.toNetwork
        #expect(way.delayMicroseconds == 80_000 && way.lossMillipercent == 1505 && way.duplicateMillipercent == 100_000)
        #expect(impairment.impairment.toMachine.kilobitsPerSecond == 400 && !impairment.isPlain)
        // Somebody has written into the file what there cannot be.
        impairment.toNetwork.lossPercent = -1e300
        impairment.toNetwork.duplicatePercent = .infinity
        impairment.toNetwork.jitterMicroseconds = .max
        #expect(impairment.impairment.toNetwork.lossMillipercent == 0)
        #expect(impairment.impairment.toNetwork.duplicateMillipercent == 100_000)
        #expect(impairment.impairment.toNetwork.jitterMicroseconds == 80_000)
        line.impairments = nil
        try line.write(to: scratch.path)
        #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path.description).isEmpty)
    }

    @Test func `what cannot be read is not taken for a plain wire`() throws {
        let scratch = try Scratch()
        try scratch.path.appending("line.json").replaceWhole(
            Array("{\"wires\":{\"lan\":[{}]}}".utf8), mode: 0o600)
        #expect(throws: FleetError.self) { try MachineLine.read(from: scratch.path) }
    }

    @Test func `one that is tried beside another has its own ends, and is in no way`() throws {
        var entry = LineEntry(machine: "a", name: "wall", inside: 3, outside: 4, failsOpen: true, isBypassed: false)
        #expect(entry.inline?.shadow == nil && entry.ends == [3, 4])
        entry.shadow = LineEntry.Shadow(machine: "b", name: "new", inside: 7, outside: 8)
        #expect(entry.inline?.ends == [3, 4, 7, 8] && entry.ends == [3, 4, 7, 8])
        #expect(entry.holders.map(\.machine) == ["a", "b"] && entry.holders[1].ends == [7, 8])
        let copy = try JSONDecoder().decode(LineEntry.self, from: JSONEncoder().encode(entry))
        #expect(copy == entry)
    }

    @Test func `what is between networks is read as it was written, and has numbers that no machine has`() throws {
        let scratch = try Scratch()
        var passages = try Passages.read(from: scratch.path)
        #expect(passages.all.isEmpty)
        let (first, second) = (try passages.place(["lan", "dmz"]), try passages.place(["lan", "office"]))
        let again = try passages.place(["dmz", "lan"])
        #expect(first == 0 && second == 1)
        #expect(again == 0, "either way round they are the same two")
        passages.all[0].entries = [
            LineEntry(machine: "a", name: "wall", inside: 3, outside: 4, failsOpen: true, isBypassed: false),
            LineEntry(machine: "b", name: "look", inside: 5, failsOpen: true, isBypassed: false),
        ]
        try passages.write(to: scratch.path)
        #expect(try Passages.read(from: scratch.path) == passages)
        let ports = passages.all[0].ports
        #expect(ports.map(\.number) == [3, 4, 5, 50_001] && ports.dropLast().allSatisfy { $0.network == nil })
        #expect(ports[3].joined == "lan" && ports[3].network == "dmz" && ports[3].mirrors == [5])
        #expect(ports[3].line.map(\.name) == ["wall"])
        #expect(passages.all[1].number == 50_002)
        passages.all = []
        try passages.write(to: scratch.path)
        #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path.description).isEmpty)
        try scratch.path.appending(".between.json").replaceWhole(Array("{}".utf8), mode: 0o600)
        #expect(throws: FleetError.self) { try Passages.read(from: scratch.path) }
    }

    @Test func `of one that routes the hardware addresses are written down, between networks, and once`() throws {
        let scratch = try Scratch()
        var passages = Passages()
        let place = try passages.place(["lan", "dmz"])
        var policy = LinePolicy()
        policy.isRouting = true
        let stations = LineEntry.Stations(inside: "02:00:00:00:00:01", outside: "02:00:00:00:00:02")
        var entry = LineEntry(machine: "a", name: "wall", inside: 3, outside: 4, failsOpen: true, isBypassed: false)
        policy.apply(to: &entry, stations)
        passages.all[place].entries = [entry]
        try passages.write(to: scratch.path)
        #expect(try Passages.read(from: scratch.path) == passages)
        let told = passages.all[place].ports.last?.line.first?.routing
        #expect(told?.inside == [2, 0, 0, 0, 0, 1] && told?.outside == [2, 0, 0, 0, 0, 2])
        // What is not said stays, also here.
        LinePolicy().apply(to: &entry, nil)
        #expect(entry.routing == stations)
        // Somebody has written into the file what there cannot be: it is not taken for a bridge.
        for wrong in ["", "02:00:00:00:00", "ff:ff:ff:ff:ff:ff"] {
            passages.all[place].entries[0].routing?.outside = wrong
            try passages.write(to: scratch.path)
            #expect(throws: FleetError.self) { try Passages.read(from: scratch.path) }
        }
    }

    @Test func `one that routes is refused where it cannot be, with what can be done`() throws {
        let scratch = try Scratch()
        let folder = scratch.path.description
        let store = MachineStore(ProductPaths(data: folder, runtime: folder + "/run", libexec: folder))
        var specification = MachineSpecification()
        specification.command = ["sh"]
        specification.interfaces = try ["wire", "wire"].map { try MachineInterface(parsing: $0) }
        let record = try store.create(specification, name: "wall").record
        let lines = Lines(store: store, records: [record])
        let numbers = record.interfaces.compactMap(\.portNumber)
        try #require(numbers.count == 2)
        var entry = LineEntry(
            machine: record.id, name: "wall", inside: numbers[1], outside: numbers[0], failsOpen: true,
            isBypassed: false)
        // Turned round as the ends are.
        let stations = try #require(lines.stations(of: entry))
        #expect(stations.inside == record.interfaces[1].hardwareAddress)
        #expect(stations.outside == record.interfaces[0].hardwareAddress)
        entry.routing = stations
        var other = LineEntry(machine: "b", name: "bridge", inside: 7, outside: 8, failsOpen: true, isBypassed: false)
        try lines.checkRouting([other, entry], at: .between(["lan", "dmz"]))
        func refusal(_ entries: [LineEntry], _ site: WireSite) -> String {
            do throws(FleetError) {
                try lines.checkRouting(entries, at: site)
                return ""
            } catch { return error.message }
        }
        #expect(refusal([entry], .interface(record, wire: "lan")).contains("insert --routing … between …"))
        other.routing = stations
        #expect(refusal([entry, other], .between(["lan", "dmz"])).isEmpty)
        entry.shadow = LineEntry.Shadow(machine: "c", name: "new", inside: 9, outside: 10)
        #expect(refusal([entry], .between(["lan", "dmz"])).contains("swiftlet remove new"))
        var looking = entry
        looking.outside = nil
        #expect(lines.stations(of: looking) == nil)
    }

    @Test func `what is not said of an appliance stays as it was`() {
        var entry = LineEntry(
            machine: "a", name: "a", inside: 1, outside: 2, failsOpen: false, isBypassed: true,
            patienceMilliseconds: 5000)
        let before = entry
        var policy = LinePolicy()
        policy.apply(to: &entry)
        #expect(entry == before)
        policy.failsOpen = true
        policy.patience = LinePolicy.Patience.none
        policy.apply(to: &entry)
        #expect(entry.failsOpen && entry.patienceMilliseconds == nil && entry.isBypassed)
        policy.patience = .milliseconds(20)
        policy.apply(to: &entry)
        #expect(entry.patienceMilliseconds == 20)
    }
}
