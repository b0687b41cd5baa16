import APITestSupport
import Foundation
import LinuxCalls
import Testing
import WireFormats

@testable import Netlink

@Suite struct NetlinkTests {
    private func encoded(_ request: NetlinkRequest, sequence: UInt32 = 7) -> [UInt8] {
        var datagram = LittleEndianWriter()
        request.encode(into: &datagram, [.request, .acknowledge], sequence: sequence)
        return datagram.bytes
    }

    @Test func `a request is laid out as the kernel reads it`() {
        var request = NetlinkRequest.link(RouteMessage.newLink, .make, index: 3, state: 1, mask: 1)
        request.attribute(RouteAttribute.linkName, text: Array("br0".utf8))
        request.attribute(RouteAttribute.linkMaximumTransmissionUnit, UInt32(1500))
        request.nested(RouteAttribute.linkInformation) { request in
            request.attribute(1, [0x61, 0x62, 0x63, 0x64, 0x65])
        }
        #expect(
            encoded(request) == [
                64, 0, 0, 0, 16, 0, 0x05, 0x06, 7, 0, 0, 0, 0, 0, 0, 0,
                0, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0,
                8, 0, 3, 0, 0x62, 0x72, 0x30, 0, 8, 0, 4, 0, 0xdc, 5, 0, 0,
                16, 0, 18, 0x80, 9, 0, 1, 0, 0x61, 0x62, 0x63, 0x64, 0x65, 0, 0, 0,
            ])
    }

    @Test func `an address is the computer's, or of its link alone`() throws {
        func message(_ address: [UInt8], isOfLink: Bool) throws -> NetlinkMessage {
            var messages = NetlinkMessages(
                encoded(
                    .address(
                        RouteMessage.newAddress, .make, address, prefixLength: 32, link: 3, isOfLink: isOfLink)))
            return try #require(try messages.next())
        }
        // Family, length, flags, scope (253: of the link), index.
        let own = try message([169, 254, 83, 1], isOfLink: true)
        #expect(Array(own.body.prefix(8)) == [2, 32, 0, 253, 3, 0, 0, 0])
        #expect(try own.attributes(after: 8).first(RouteAttribute.addressLocal)?.value == [169, 254, 83, 1])
        #expect(Array(try message([10, 0, 0, 1], isOfLink: false).body.prefix(8)) == [2, 32, 0, 0, 3, 0, 0, 0])
    }

    @Test func `what is written is read again, message by message and attribute by attribute`() throws {
        var request = NetlinkRequest(99)
        request.body.write(UInt32(5))
        request.attribute(1, [1, 2, 3])
        request.attribute(2, UInt32(0xdead_beef))
        request.nested(3) { $0.attribute(4, text: Array("name".utf8)) }
        var messages = NetlinkMessages(encoded(request) + encoded(NetlinkRequest(98), sequence: 8))
        let first = try #require(try messages.next())
        #expect(first.type == 99 && first.sequence == 7)
        #expect(try first.number(at: 0) == 5)
        let attributes = try first.attributes(after: 4)
        #expect(try attributes.first(1)?.value == [1, 2, 3])
        #expect(try attributes.first(2)?.number() == 0xdead_beef)
        #expect(try attributes.first(3)?.attributes.first(4)?.text.elementsEqual("name".utf8) == true)
        #expect(try attributes.first(5) == nil)
        let second = try #require(try messages.next())
        #expect(second.type == 98 && second.sequence == 8 && second.body.isEmpty)
        #expect(try messages.next() == nil)
        #expect(throws: LinuxError.protocolError) { try second.number(at: 0) }
        #expect(throws: LinuxError.protocolError) { try second.attributes(after: 4) }
    }

    @Test func `answers that do not add up are refused, and nothing comes after them`() throws {
        for bytes in [
            [1], [16, 0, 0, 0], [15] + [UInt8](repeating: 0, count: 15), [17] + [UInt8](repeating: 0, count: 15),
            [255, 255, 255, 255] + [UInt8](repeating: 0, count: 12),
        ] as [[UInt8]] {
            var messages = NetlinkMessages(bytes)
            #expect(throws: LinuxError.protocolError) { try messages.next() }
            #expect(try messages.next() == nil)
        }
        for bytes in [[1], [3, 0, 1, 0], [9, 0, 1, 0, 0, 0, 0, 0], [255, 255, 1, 0]] as [[UInt8]] {
            var attributes = NetlinkAttributes(bytes[...])
            #expect(throws: LinuxError.protocolError) { try attributes.next() }
            #expect(try attributes.next() == nil)
        }
    }

    @Test func `an error number that is none of the kernel's is read as well`() throws {
        func failure(_ number: UInt32) throws -> LinuxError? {
            var writer = LittleEndianWriter()
            writer.write(number)
            return try NetlinkMessage(type: 2, flags: [], sequence: 0, body: writer.bytes[...]).failure()
        }
        #expect(try failure(0) == nil && failure(5) == nil)
        #expect(try failure(UInt32(bitPattern: -17)) == .exists)
        #expect(try failure(0x8000_0000) == LinuxError(.min))
    }

    @Test func `the kernel answers, also for what it refuses, and each request has its own answer`() throws {
        var session = try NetlinkSession()
        let loopback = try session.get(.link(RouteMessage.getLink, index: 1))
        #expect(
            try loopback.attributes(after: 16).first(RouteAttribute.linkName)?.text.elementsEqual("lo".utf8) == true)
        #expect(throws: LinuxError.noDevice) { try session.get(.link(RouteMessage.getLink, index: 0x7fff_fff0)) }
        let links = try session.dump(.link(RouteMessage.getLink))
        #expect(try links.contains { try $0.number(at: 4) == 1 })
        // Changes of what is not there: whoever may change nothing meets EPERM, each time.
        let none = NetlinkRequest.link(0x7fff_fff0, isUp: true)
        let failures = try session.performAll([NetlinkRequest](repeating: none, count: NetlinkSession.maximumRequests))
        #expect(failures.allSatisfy { $0 == .noDevice || $0 == LinuxError(1) })
        #expect(throws: LinuxError.tooLong) {
            try session.performAll([NetlinkRequest](repeating: none, count: NetlinkSession.maximumRequests + 1))
        }
        #expect(try session.performAll([]).isEmpty)
        #expect(try session.get(.link(RouteMessage.getLink, index: 1)).sequence == 132)
    }

    @Test func `what the fuzzer found is asked again without a trap, and what is made from it`() throws {
        let folder = URL(filePath: #filePath).appending(path: "../../../../Fuzz/Corpus/netlink").standardized
        let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        #expect(!files.isEmpty)
        for file in files {
            let bytes = Array(try Data(contentsOf: file))
            fuzzNetlink(bytes)
            for index in bytes.indices {
                fuzzNetlink(Array(bytes[..<index]))
                for value in [0, 1, 3, 0x7f, 0xff] as [UInt8] {
                    var changed = bytes
                    changed[index] = value
                    fuzzNetlink(changed)
                }
            }
        }
    }
}
