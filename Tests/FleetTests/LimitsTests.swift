import Foundation
import HostFiles
import MachineConfiguration
import Testing

@testable import Fleet

@Suite struct LimitsTests {
    private func rate(_ text: String, _ unit: RateLimit.Unit = .bytes) throws -> RateLimit {
        try RateLimit(parsing: text, unit, option: "--x")
    }

    private func specification(disks: Int = 2) -> MachineSpecification {
        var specification = MachineSpecification()
        specification.kernelPath = "/k"
        specification.imageDiskPaths = ["/d"]
        specification.disks = (0..<disks).map { .init(path: "/disk\($0)", isReadOnly: false) }
        specification.interfaces = [.init(.ownTap), .init(.bareTap, name: "inside")]
        return specification
    }

    @Test func `a rate is written with its unit, and a burst if need be`() throws {
        #expect(try rate("10M") == RateLimit(perSecond: 10 << 20))
        #expect(try rate("1.5k/s,burst=4M") == RateLimit(perSecond: 1536, burst: 4 << 20))
        #expect(try rate("500", .operations) == RateLimit(perSecond: 500))
        for text in ["none", "0"] { #expect(try rate(text) == .unlimited && rate(text, .operations) == .unlimited) }
    }

    @Test(arguments: [
        "", "10", "M", "-1M", "10X", "1e3M", "nan", "infM", "9999999G", "0.0001b", "10M,", "10M,burst", "10M,burst=",
        "10M,burst=1k", "10M,burst=1M,burst=2M", "none,burst=1M", "10M burst=1M", "10M/h", "0x10M", "٣M",
    ])
    func `what is no rate is refused`(text: String) {
        #expect { try rate(text) } throws: { ($0 as? FleetError)?.code == .invalidSetting && "\($0)".contains("--x") }
    }

    @Test func `a bucket fills at the rate that was asked for`() throws {
        #expect(try rate("10M").bucket == (10 << 20, 1000))
        #expect(try rate("10M,burst=16M").bucket == (16 << 20, 1600))
        #expect(RateLimit.unlimited.bucket == (0, 0))
        for (perSecond, burst) in [(3, 1), (1000, 10), (7, 7), (1 << 50, 1 << 50), (999_983, 9_999_991), (1, 1 << 50)] {
            let bucket = RateLimit(perSecond: UInt64(perSecond), burst: UInt64(burst)).bucket
            let made = Double(bucket.size) * 1000 / Double(bucket.milliseconds)
            #expect(abs(made / Double(perSecond) - 1) < 0.01 && bucket.size > 0 && bucket.milliseconds > 0)
        }
        // What a file holds that somebody has changed by hand.
        _ = RateLimit(perSecond: .max, burst: 0).bucket
        _ = RateLimit(perSecond: 1, burst: .max).bucket
    }

    @Test func `a limit of one device stands above that of all`() throws {
        var limits = DeviceLimits()
        limits.set(try rate("1M"), of: nil)
        limits.set(.unlimited, of: "vdb")
        #expect(limits["vda"].perSecond == 1 << 20 && limits["vdb"] == .unlimited)
        limits.set(try rate("2M"), of: "vdb")
        #expect(limits["vdb"].perSecond == 2 << 20)
        limits.set(try rate("3M"), of: nil)
        #expect(limits["vdb"].perSecond == 3 << 20)
        limits.set(.unlimited, of: nil)
        #expect(limits.isEmpty)
        limits.set(.unlimited, of: "vdb")
        #expect(limits.isEmpty)
    }

    @Test func `devices are called as the guest calls them`() throws {
        let specification = specification()
        let disks = LimitedDevices.disks(of: specification)
        let interfaces = LimitedDevices.interfaces(of: specification)
        var limits = MachineLimits()
        try limits.set(\.diskBandwidth, .bytes, "root=1M", option: "--d", devices: disks)
        try limits.set(\.diskBandwidth, .bytes, "/dev/vdc=2M,burst=4M", option: "--d", devices: disks)
        try limits.set(\.networkOut, .bytes, "inside=3M", option: "--n", devices: interfaces)
        #expect(limits.diskBandwidth.named == ["vda": try rate("1M"), "vdc": try rate("2M,burst=4M")])
        #expect(limits.networkOut.named == ["eth1": try rate("3M")])
        for text in ["vdd=1M", "disk0=1M", "=1M"] {
            #expect(throws: FleetError.self) {
                try limits.set(\.diskBandwidth, .bytes, text, option: "--d", devices: disks)
            }
        }
        #expect {
            var without = specification
            without.interfaces = []
            try limits.set(
                \.networkIn, .bytes, "1M", option: "--network-in", devices: .interfaces(of: without))
        } throws: {
            "\($0)".contains("no network interface")
        }
    }

    @Test func `processors' time is at most that of all of them`() throws {
        var limits = MachineLimits()
        try limits.setProcessors("1.5", of: 2)
        #expect(limits.cpuThousandths == 1500)
        try limits.setProcessors("2", of: 2)
        #expect(limits.cpuThousandths == nil)
        try limits.setProcessors("0.01", of: 1)
        #expect(limits.cpuThousandths == 10)
        try limits.setProcessors("none", of: 1)
        #expect(limits.isEmpty)
        for text in ["0.001", "2.1", "-1", "x", "", "nan", "1e1"] {
            #expect(throws: FleetError.self) { try limits.setProcessors(text, of: 2) }
        }
        try limits.setShares("2")
        for text in ["1", "262145", "x", "0.5"] { #expect(throws: FleetError.self) { try limits.setShares(text) } }
    }

    @Test func `a control group's files say the same in both versions`() throws {
        var limits = MachineLimits()
        #expect(ControlGroups.Settings(limits).isEmpty)
        limits.cpuThousandths = 500
        limits.cpuShares = 2
        let settings = ControlGroups.Settings(limits)
        #expect(settings.unified.map(\.value) == ["50000 100000", "1"])
        #expect(settings.legacy.map(\.value) == ["100000", "50000", "2"])
        limits.cpuThousandths = nil
        limits.cpuShares = 262_144
        #expect(ControlGroups.Settings(limits).unified.map(\.value) == ["max 100000", "10000"])
        #expect(ControlGroups.Settings(MachineLimits()).unified.map(\.value) == ["max 100000", "100"])
        #expect(ControlGroups.Settings(MachineLimits()).legacy.map(\.value) == ["100000", "-1", "1024"])
    }

    @Test func `the monitor begins with the limits`() throws {
        var specification = specification()
        specification.memoryMebibytes = 256
        func parsed() throws -> VirtualMachineConfiguration {
            let text = MonitorConfiguration(
                specification: specification,
                interfaces: specification.interfaces.enumerated().map {
                    .init(
                        interface: $1, place: "eth\($0)", ownNetwork: OwnNetwork(number: $0 + 1),
                        hardwareAddress: "02:00:00:00:00:0\($0)")
                }, initrdPaths: [], socketPath: "/run/s"
            ).json
            return try VirtualMachineConfiguration.parse(Array(text.utf8))
        }
        #expect(try parsed().drives.allSatisfy { $0.limits == nil } && parsed().balloon?.amountMebibytes == 0)
        specification.limits.memoryMebibytes = 100
        specification.limits.diskBandwidth.set(try rate("1M,burst=2M"), of: "vdc")
        specification.limits.diskOperations.set(try rate("50", .operations), of: nil)
        specification.limits.networkIn.set(try rate("3M"), of: "eth1")
        let machine = try parsed()
        #expect(machine.balloon?.amountMebibytes == 156 && machine.balloon?.isDeflatingOnOutOfMemory == false)
        #expect(machine.drives.map { $0.limits?.operations?.size } == [50, 50, 50])
        #expect(machine.drives.map { $0.limits?.bytes?.size } == [nil, nil, 2 << 20])
        #expect(machine.drives.last?.limits?.bytes?.refillMilliseconds == 2000)
        #expect(machine.networkInterfaces.map { $0.receiveLimits?.bytes?.size } == [nil, 3 << 20])
        #expect(machine.networkInterfaces.allSatisfy { $0.transmitLimits == nil })
    }

    @Test func `a change asks the monitor for what changes, and for nothing else`() throws {
        var record = MachineRecord(
            id: "a", name: "a", specification: specification(), createdSeconds: 0, socketPath: "/s")
        record.networkNumbers = [1, 2]
        let before = MachineLimits()
        var limits = before
        #expect(limits.requests(from: before, record).isEmpty)
        limits.diskBandwidth.set(try rate("1M"), of: "vdb")
        #expect(limits.requests(from: before, record).map(\.resource) == ["/drives/disk0"])
        #expect(
            before.requests(from: limits, record).first?.body
                == #"{"drive_id":"disk0","rate_limiter":{"bandwidth":{"size":0,"refill_time":0},"ops":{"size":0,"refill_time":0}}}"#
        )
        limits = before
        limits.networkOutPackets.set(try rate("9", .operations), of: nil)
        #expect(
            limits.requests(from: before, record).map(\.resource)
                == ["/network-interfaces/eth0", "/network-interfaces/eth1"])
        limits = before
        limits.cpuThousandths = 100
        #expect(limits.requests(from: before, record).isEmpty)
    }

    @Test func `what was changed stands above the record`() throws {
        let folder = try TemporaryFolderPath()
        var specification = specification(disks: 0)
        specification.limits.cpuShares = 5
        let record = MachineRecord(
            id: "a", name: "a", specification: specification, createdSeconds: 0, socketPath: "/s")
        try record.write(to: folder.path)
        #expect(MachineRecord.read(from: folder.path)?.specification.limits.cpuShares == 5)
        var limits = MachineLimits()
        limits.memoryMebibytes = 64
        try folder.path.appending(MachineStore.limitsFile).replaceQuickly(Array(JSONEncoder().encode(limits)))
        #expect(MachineRecord.read(from: folder.path)?.specification.limits == limits)
        // One that cannot be read changes nothing.
        try folder.path.appending(MachineStore.limitsFile).replaceQuickly(Array("{".utf8))
        #expect(MachineRecord.read(from: folder.path)?.specification.limits.cpuShares == 5)
    }

    @Test func `a limit of memory lies between the least and what there is`() throws {
        var limits = MachineLimits()
        for (mebibytes, isGood) in [(31, false), (32, true), (256, true), (257, false), (-1, false)] {
            limits.memoryMebibytes = mebibytes
            #expect(((try? limits.check(specification())) != nil) == isGood)
        }
    }
}

/// A folder that goes with it.
private final class TemporaryFolderPath {
    let path: HostPath
    init() throws {
        path = HostPath(NSTemporaryDirectory() + "limits-\(UUID().uuidString)")
        try path.makeFolders(mode: 0o700)
    }
    deinit { try? FileManager.default.removeItem(atPath: path.description) }
}
