import APITestSupport
import Testing
import WireFormats

@testable import MetadataService

/// A store with a few values of each kind.
func makeStore(_ more: [JSONMember] = []) -> MetadataStore {
    let store = MetadataStore(limitBytes: 1 << 20)
    let text = #"{"name":{"second":"Doe","first":"John"},"age":43,"list":["x",{"y":"z"}],"a/b~":"odd","empty":{}}"#
    guard let value = try? JSONParser.parseFree(Array(text.utf8)) else { return store }
    _ = store.set(.object((value.members ?? []) + more))
    return store
}

@Suite struct ConnectionTests {
    let request = "GET /name/first HTTP/1.1\r\n\r\n"
    func body(_ answer: String) -> String { answer.split(separator: "\r\n\r\n").last.map(String.init) ?? "" }

    @Test func `a question for the address is answered, and for another one is not`() {
        let station = MetadataStation(makeStore())
        #expect(station.give(MetadataStation.question()))
        #expect(
            station.take()
                == [
                    2, 0, 0, 0, 0, 9, 6, 1, 0x23, 0x45, 0x67, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 2, 6, 1, 0x23, 0x45, 0x67,
                    1,
                ]
                + MetadataStation.service + [2, 0, 0, 0, 0, 9] + MetadataStation.own)
        #expect(!station.give(MetadataStation.question(for: [169, 254, 169, 253])))
        #expect(!station.give(MetadataStation.frame(from: 9, sequence: 1, flags: 2, address: [10, 0, 0, 1])))
        #expect(station.take() == nil)
    }

    @Test func `a connection is opened, used twice and ended by the guest`() {
        let station = MetadataStation(makeStore())
        var client = MetadataClient(port: 1000)
        let isOpen = client.connect(station)
        #expect(isOpen)
        var body = self.body(client.ask(station, request))
        #expect(body == "John")
        body = self.body(client.ask(station, "GET /name/second HTTP/1.1\r\n\r\n"))
        #expect(body == "Doe")
        client.say(station, flags: 1)
        client.listen(station)
        #expect(client.isEndedByService && station.endpoint.keptBytes == 0)
        #expect(station.endpoint.metrics.count("connections_destroyed") == 1)
    }

    @Test func `requests come in pieces and several at once`() {
        let station = MetadataStation(makeStore())
        var client = MetadataClient(port: 1000)
        let isOpen = client.connect(station)
        #expect(isOpen)
        for byte in request.utf8.dropLast() {
            client.say(station, [byte])
            client.listen(station)
            #expect(client.received.isEmpty)
        }
        let answers = client.ask(station, "\n" + request + request)
        #expect(answers.split(separator: "John").count == 3)
    }

    @Test func `an answer of many segments arrives whole, also when segments are lost`() {
        let long = String(repeating: "0123456789", count: 5000)
        let station = MetadataStation(makeStore([JSONMember("long", .string(long))]))
        for mss in [100, 536, 1460] as [UInt16] {
            var client = MetadataClient(port: 1000 + mss)
            let isOpen = client.connect(station, maximumBytes: mss)
            #expect(isOpen)
            let answer = client.ask(station, "GET /long HTTP/1.1\r\n\r\n")
            #expect(body(answer) == long)
        }
        var station2 = station
        var client = MetadataClient(port: 99)
        let isOpen = client.connect(station2)
        #expect(isOpen)
        client.say(station2, Array("GET /long HTTP/1.1\r\n\r\n".utf8))
        var lost = 0
        for round in 0..<200 where client.received.count < long.utf8.count {
            // Every other time the first frame is lost, and what follows it comes out of order.
            if round % 2 == 0, station2.take() != nil { lost += 1 }
            client.listen(station2, acknowledges: false)
            client.say(station2)
            station2.now += 2_000_000_000
        }
        #expect(lost > 2 && body(String(decoding: client.received, as: UTF8.self)) == long)
    }

    @Test func `it sends no more than the guest's window, and tries a closed one until it opens`() {
        var station = MetadataStation(makeStore([JSONMember("long", .string(String(repeating: "x", count: 3000)))]))
        var client = MetadataClient(port: 1)
        client.window = 500
        let isOpen = client.connect(station)
        #expect(isOpen)
        client.say(station, Array("GET /long HTTP/1.1\r\n\r\n".utf8))
        client.listen(station, acknowledges: false)
        #expect(client.received.count == 500)
        client.window = 0
        client.say(station)
        client.listen(station, acknowledges: false)
        #expect(client.received.count == 500)
        #expect(station.endpoint.deadline != nil)
        station.now += 400_000_000
        let probe = station.takeSegment()
        #expect(probe?.data.count == 1 && probe?.sequence == client.expected)
        // It was not taken; now there is room.
        client.window = 60_000
        client.say(station)
        client.listen(station)
        #expect(client.received.count > 3000)
    }

    @Test func `a guest that never acknowledges is given up`() {
        var station = MetadataStation(makeStore())
        var client = MetadataClient(port: 1)
        let isOpen = client.connect(station)
        #expect(isOpen)
        client.say(station, Array(request.utf8))
        var last = station.takeSegment()
        var count = 0
        while let deadline = station.endpoint.deadline, count < 100 {
            station.now = deadline
            if let segment = station.takeSegment() { last = segment }
            count += 1
        }
        #expect(last?.flags == 4 && count < 20 && station.endpoint.keptBytes == 0)
    }

    @Test func `what belongs to no connection is reset, a reset is not answered, and nothing else is`() {
        let station = MetadataStation(makeStore())
        station.give(MetadataStation.frame(from: 7, sequence: 5, acknowledgement: 77, flags: 0x10, data: [1]))
        let answer = station.takeSegment()
        #expect(answer?.flags == 4 && answer?.sequence == 77)
        station.give(MetadataStation.frame(from: 7, to: 443, sequence: 5, flags: 2))
        let other = station.takeSegment()
        #expect(other?.flags == 0x14 && other?.acknowledgement == 6)
        station.give(MetadataStation.frame(from: 7, sequence: 5, flags: 4))
        #expect(station.take() == nil)
    }

    @Test func `resets and openings out of their place do not end a connection`() {
        let station = MetadataStation(makeStore())
        var client = MetadataClient(port: 3)
        let isOpen = client.connect(station)
        #expect(isOpen)
        station.give(MetadataStation.frame(from: 3, sequence: client.sequence &+ 9, flags: 4))
        #expect(station.takeSegment()?.flags == 0x10)
        station.give(MetadataStation.frame(from: 3, sequence: client.sequence &+ 9, flags: 2))
        #expect(station.takeSegment()?.flags == 0x10)
        // A question whether anybody is there.
        station.give(
            MetadataStation.frame(
                from: 3, sequence: client.sequence &- 1, acknowledgement: client.expected, flags: 0x10))
        #expect(station.takeSegment()?.acknowledgement == client.sequence)
        let body = self.body(client.ask(station, request))
        #expect(body == "John")
        station.give(MetadataStation.frame(from: 3, sequence: client.sequence, flags: 4))
        #expect(station.endpoint.metrics.count("connections_destroyed") == 1)
    }

    @Test func `segments again, overlapping and ahead are taken once and in order`() {
        let station = MetadataStation(makeStore())
        var client = MetadataClient(port: 3)
        let isOpen = client.connect(station)
        #expect(isOpen)
        let bytes = Array(request.utf8)
        func segment(_ range: Range<Int>) {
            station.give(
                MetadataStation.frame(
                    from: 3, sequence: client.sequence &+ UInt32(range.lowerBound),
                    acknowledgement: client.expected, flags: 0x18, data: Array(bytes[range])))
        }
        segment(10..<bytes.count)
        segment(0..<4)
        segment(0..<4)
        segment(2..<12)
        segment(6..<bytes.count)
        client.sequence &+= UInt32(bytes.count)
        client.listen(station)
        #expect(body(String(decoding: client.received, as: UTF8.self)) == "John")
    }

    @Test func `there are only so many connections, and one that is silent goes for another`() {
        var station = MetadataStation(makeStore())
        var clients = (0..<MetadataEndpoint.maximumConnections).map { MetadataClient(port: UInt16(100 + $0)) }
        for index in clients.indices {
            let isOpen = clients[index].connect(station)
            #expect(isOpen)
            station.now += 1000
        }
        var late = MetadataClient(port: 999)
        let isOpen = late.connect(station)
        #expect(!isOpen)
        station.now += 6_000_000_000
        late = MetadataClient(port: 998)
        station.give(MetadataStation.frame(from: 998, sequence: late.sequence, flags: 2))
        let gone = station.takeSegment()
        #expect(gone?.flags == 4 && gone?.port == 100)
        #expect(station.takeSegment()?.flags == 0x12)
        let answer = clients[5].ask(station, request)
        #expect(body(answer) == "John")
    }

    @Test func `answers that are not fetched keep memory within bounds`() {
        let station = MetadataStation(
            makeStore([JSONMember("long", .string(String(repeating: "x", count: 50_000)))]))
        for port in 1...16 as ClosedRange<UInt16> {
            var client = MetadataClient(port: port)
            let isOpen = client.connect(station)
            #expect(isOpen)
            client.say(station, Array("GET /long HTTP/1.1\r\n\r\n".utf8))
            while station.take() != nil {}
        }
        #expect(station.endpoint.keptBytes < 128 << 10)
    }

    @Test func `broken frames are counted and change nothing`() {
        let station = MetadataStation(makeStore())
        let good = MetadataStation.frame(from: 1, sequence: 1, flags: 2, options: [2, 4, 5, 0xb4])
        for place in 14..<good.count {
            var frame = good
            frame[place] ^= 0x10
            station.give(frame)
        }
        for count in 34..<good.count { station.give(Array(good[..<count])) }
        #expect(station.take() == nil)
        #expect(station.endpoint.metrics.count("rx_accepted_err") > 40)
        // A checksum that was left to the device is not looked at.
        var frame = good
        frame[50] ^= 1
        station.give(frame, hasChecksum: false)
        #expect(station.takeSegment()?.flags == 0x12)
    }
}
