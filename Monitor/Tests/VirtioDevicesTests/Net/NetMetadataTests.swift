import APITestSupport
import LinuxCalls
import MetadataService
import Testing
import VirtioTestSupport
import WireFormats

@testable import VirtioDevices

@Suite struct NetMetadataTests {
    static let header = [UInt8](repeating: 0, count: 12)

    func makeHarness() throws -> (NetHarness, MetadataEndpoint) {
        let store = MetadataStore(limitBytes: 4096)
        #expect(store.set(.object([JSONMember("name", .string("John"))])))
        store.configure(address: 0xa9fe_a9fe, interfaces: ["eth0"], isTokenRequired: false, isPlain: false)
        #expect(store.endpoint(ofInterface: "eth1", mtu: nil) == nil)
        let endpoint = try #require(store.endpoint(ofInterface: "eth0", mtu: nil))
        let net = try NetHarness()
        try net.device.serve(endpoint)
        return (net, endpoint)
    }

    func send(_ net: NetHarness, _ frame: [UInt8], pieces: Int = 2) {
        let whole = Self.header + frame
        let cut = pieces == 1 ? whole.count : 30
        net.harness.drivers[1].add(
            pieces == 1 ? [.readable(whole)] : [.readable(Array(whole[..<cut])), .readable(Array(whole[cut...]))])
        net.harness.notify(1)
    }

    func receive(_ net: NetHarness) -> [UInt8]? {
        guard let (used, contents) = net.harness.drivers[0].takeUsedWithContents() else { return nil }
        #expect(Array(contents[..<12]) == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0])
        return Array(contents[12..<Int(used.writtenBytes)])
    }

    @Test(arguments: [1, 2]) func `frames to the service are answered and never leave, others go through`(pieces: Int)
        throws
    {
        let (net, _) = try makeHarness()
        for _ in 0..<60 { net.harness.drivers[0].add([.writable(2000)]) }
        net.harness.notify(0)
        send(net, MetadataStation.question(), pieces: pieces)
        #expect(receive(net)?[20...21].elementsEqual([0, 2]) == true)
        #expect(net.leave() == nil)
        send(net, MetadataStation.question(for: [10, 0, 0, 1]), pieces: pieces)
        #expect(net.leave() == Self.header + MetadataStation.question(for: [10, 0, 0, 1]))

        send(net, MetadataStation.frame(from: 9, sequence: 100, flags: 2), pieces: pieces)
        let opened = try #require(receive(net).flatMap { MetadataStation.segment($0) })
        #expect(opened.flags == 0x12)
        send(
            net,
            MetadataStation.frame(
                from: 9, sequence: 101, acknowledgement: opened.sequence &+ 1, flags: 0x18,
                data: Array("GET /name HTTP/1.1\r\n\r\n".utf8)), pieces: pieces)
        let answer = try #require(receive(net).flatMap { MetadataStation.segment($0) })
        #expect(String(decoding: answer.data, as: UTF8.self).hasSuffix("\r\n\r\nJohn"))
        #expect(net.leave() == nil && net.device.metadataCount("rx_count") == 3)
        // The connection ends, so that nothing is sent again however slow this machine is.
        send(net, MetadataStation.frame(from: 9, sequence: answer.acknowledgement, flags: 4), pieces: pieces)
        while receive(net) != nil {}
        while net.harness.drivers[1].takeUsed() != nil {}
        // A frame longer than the service takes is lost, and the network's frames still arrive.
        send(net, MetadataStation.frame(from: 9, sequence: 5, flags: 0x18, data: [UInt8](repeating: 1, count: 9000)))
        #expect(net.leave() == nil && net.device.metadataCount("rx_accepted_err") == 1)
        try net.arrive(NetHarness.frame(80))
        net.harness.serve()
        #expect(receive(net) == Array(NetHarness.frame(80)[12...]))
    }

    @Test func `answers wait for buffers, and what was lost is sent again by the clock`() throws {
        let (net, _) = try makeHarness()
        send(net, MetadataStation.frame(from: 9, sequence: 100, flags: 2))
        #expect(receive(net) == nil)
        net.harness.drivers[0].add([.writable(2000)])
        net.harness.notify(0)
        let opened = try #require(receive(net).flatMap { MetadataStation.segment($0) })
        net.harness.drivers[0].add([.writable(2000)])
        net.harness.notify(0)
        sleep(nanoseconds: 400_000_000)
        net.harness.serve()
        #expect(receive(net).flatMap { MetadataStation.segment($0) } == opened)
        // The driver begins anew, and so does the service.
        #expect(net.harness.start(features: .max))
        #expect(net.device.metadataCount("connections_destroyed") == 1)
    }

    @Test func `it conforms with the service`() throws {
        let conformance = DeviceConformance {
            let file = try memoryFile(name: "wire", lengthBytes: 0)
            let device = NetDevice(TapInterface(packetSocket: file), loop: try DeviceHarness.makeLoop())
            let store = MetadataStore(limitBytes: 10)
            store.configure(address: 0xa9fe_a9fe, interfaces: ["e"], isTokenRequired: true, isPlain: false)
            if let endpoint = store.endpoint(ofInterface: "e", mtu: nil) { try device.serve(endpoint) }
            return device
        }
        #expect(try conformance.run() == [])
    }
}
