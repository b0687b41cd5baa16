import Testing

@testable import AgentProtocol

@Suite struct MessageTests {
    /// Decodes what it encodes, refuses every shorter and every longer form, and never traps on changed bytes.
    private func check<Message: FramedMessage>(_ message: Message, _ generator: inout SeededGenerator) throws {
        let id: UInt32 = generator.integer()
        let bytes = Frame(message, id: id).encoded()
        var assembler = FrameAssembler<Message>()
        assembler.append(bytes)
        #expect(try assembler.next() == Frame(message, id: id))
        #expect(assembler.pendingCount == 0)

        let payload = Array(bytes[frameHeaderBytes...])
        for count in 0..<payload.count {
            // A piece of data is a message at any length; everything else has an end.
            if case .data = message as? TransferMessage { break }
            #expect(throws: ProtocolError.self) { try Message(type: message.type, payload: Array(payload[..<count])) }
        }
        if case .data = message as? TransferMessage {
        } else {
            #expect(throws: ProtocolError.trailingBytes) { try Message(type: message.type, payload: payload + [0]) }
        }
        for _ in 0..<20 where !payload.isEmpty {
            var changed = payload
            changed[generator.below(payload.count)] = generator.integer()
            // What is accepted must survive another round.
            if let decoded = try? Message(type: message.type, payload: changed) {
                let again = Frame(decoded).encoded()
                #expect(try Message(type: decoded.type, payload: Array(again[frameHeaderBytes...])) == decoded)
            }
        }
    }

    @Test(arguments: 0..<40 as Range<UInt64>)
    func everyMessageSurvivesARoundTripAndNoDamageTraps(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        for message in generator.hostMessages() { try check(message, &generator) }
        for message in generator.agentMessages() { try check(message, &generator) }
        for message in generator.transferMessages() { try check(message, &generator) }
    }

    @Test func randomPayloadsNeverTrap() {
        var generator = SeededGenerator(seed: 7)
        for _ in 0..<20_000 {
            let payload = generator.bytes(generator.below(60))
            _ = try? HostMessage(type: UInt16(generator.below(15)), payload: payload)
            _ = try? AgentMessage(type: UInt16(128 + generator.below(13)), payload: payload)
            _ = try? TransferMessage(type: UInt16(64 + generator.below(9)), payload: payload)
        }
    }

    @Test func aCountLargerThanTheBytesCannotMakeAReaderAllocate() {
        // 4,096 arguments announced, none there.
        #expect(throws: ProtocolError.truncated) { try HostMessage(type: 2, payload: [0, 16, 0, 0]) }
        #expect(throws: ProtocolError.outOfBounds(.arguments)) {
            try HostMessage(type: 2, payload: [0xff, 0xff, 0xff, 0xff])
        }
        // One argument of 128 KiB - 1 announced.
        #expect(throws: ProtocolError.truncated) { try HostMessage(type: 2, payload: [1, 0, 0, 0, 0xff, 0xff, 1, 0]) }
        #expect(throws: ProtocolError.outOfBounds(.argument)) {
            try HostMessage(type: 2, payload: [1, 0, 0, 0, 0, 0, 2, 0])
        }
    }

    @Test func fieldsOutsideTheirBoundsAreNamed() {
        func refused(_ message: HostMessage) -> ProtocolError? {
            let bytes = Frame(message).encoded()
            do {
                _ = try HostMessage(type: message.type, payload: Array(bytes[frameHeaderBytes...]))
                return nil
            } catch { return error }
        }
        func start(_ change: (inout Start) -> Void) -> HostMessage {
            var start = Start(
                arguments: ["true"], streams: .pipes(input: false, output: true, error: true), streamOrigin: .agent,
                token: Token(first: 1, second: 2))
            change(&start)
            return .start(start)
        }
        func configure(_ change: (inout Configuration) -> Void) -> HostMessage {
            var configuration = Configuration()
            change(&configuration)
            return .configure(configuration)
        }
        #expect(refused(start { _ in }) == nil)
        #expect(refused(start { $0.arguments = [] }) == .outOfBounds(.arguments))
        #expect(refused(start { $0.arguments = [""] }) == .outOfBounds(.arguments))
        #expect(refused(start { $0.arguments = ["a\0b"] }) == .outOfBounds(.argument))
        #expect(refused(start { $0.workingDirectory = "tmp" }) == .outOfBounds(.workingDirectory))
        #expect(refused(start { $0.user = ByteString([UInt8](repeating: 0x61, count: 257)) }) == .outOfBounds(.user))
        #expect(refused(.signal(Signal(0))) == .outOfBounds(.signal))
        #expect(refused(.signal(Signal(65))) == .outOfBounds(.signal))
        #expect(refused(.status(path: "relative")) == .outOfBounds(.path))
        #expect(refused(configure { $0.hostName = "two words" }) == .outOfBounds(.hostName))
        #expect(
            refused(configure { $0.hostEntries = [HostEntry(IPAddress(v4: 1, 2, 3, 4), "a\nb")] })
                == .outOfBounds(.hostEntries))
        #expect(refused(configure { $0.standardMounts = StandardMounts(rawValue: 1 << 20) }) == .outOfBounds(.flags))
        #expect(
            refused(
                configure {
                    $0.interfaces = [
                        Interface(name: "eth0", addresses: [.init(IPAddress(v4: 10, 0, 0, 1), prefixLength: 33)])
                    ]
                }) == .outOfBounds(.prefixLength))
    }

    @Test func anIdentityOrAnAdoptionOutsideItsBoundsIsRefused() {
        func refused(_ message: HostMessage) -> ProtocolError? {
            let bytes = Frame(message).encoded()
            do {
                _ = try HostMessage(type: message.type, payload: Array(bytes[frameHeaderBytes...]))
                return nil
            } catch { return error }
        }
        func identity(_ change: (inout Identity) -> Void) -> HostMessage {
            var identity = Identity()
            change(&identity)
            return .identity(identity)
        }
        #expect(refused(identity { _ in }) == nil)
        #expect(refused(identity { $0.hostName = "two words" }) == .outOfBounds(.hostName))
        #expect(refused(identity { $0.seed = [UInt8](repeating: 1, count: 257) }) == .outOfBounds(.seed))
        #expect(refused(identity { $0.interfaces = [Interface(name: "")] }) == .outOfBounds(.interfaceName))
        #expect(refused(identity { $0.searchDomains = ["a\nb"] }) == .outOfBounds(.searchDomains))
        // Numbers and hardware addresses have one length.
        #expect(refused(identity { $0.generation = [1] }) == .truncated)
        #expect(refused(identity { $0.machineID = [UInt8](repeating: 0, count: 17) }) != nil)
        #expect(refused(identity { $0.interfaces = [Interface(name: "eth0", hardwareAddress: [1, 2])] }) != nil)
        let adoption = Adoption(
            streams: .pipes(input: false, output: true, error: true), streamOrigin: .host,
            token: Token(first: 1, second: 2))
        #expect(refused(.adopt(adoption)) == nil)
        var bytes = Array(Frame(HostMessage.adopt(adoption)).encoded()[frameHeaderBytes...])
        bytes[0] = 9
        #expect(throws: ProtocolError.outOfBounds(.stream)) { try HostMessage(type: 14, payload: bytes) }
        bytes[0] = 6
        bytes[1] = 2
        #expect(throws: ProtocolError.outOfBounds(.streamOrigin)) { try HostMessage(type: 14, payload: bytes) }
    }

    @Test func entriesThatLeaveTheirDirectoryAreRefused() {
        for path: ByteString in ["/etc/passwd", "..", "a/../../b", "a//b", "./a", "a/", "a/.", "a\0"] {
            let bytes = Frame(TransferMessage.entry(TransferEntry(.directory, path: path, permissions: 0))).encoded()
            #expect(throws: ProtocolError.self, "\(path)") {
                try TransferMessage(type: 67, payload: Array(bytes[frameHeaderBytes...]))
            }
        }
        for name: ByteString in ["..", ".", "a/b"] {
            let bytes = Frame(TransferMessage.copyIn(CopyIn(destination: "/tmp", name: name))).encoded()
            #expect(throws: ProtocolError.outOfBounds(.name), "\(name)") {
                try TransferMessage(type: 65, payload: Array(bytes[frameHeaderBytes...]))
            }
        }
    }

    @Test func aFailureTextIsCutAtItsBound() {
        let failure = Failure(.mount, text: ByteString([UInt8](repeating: 0x61, count: 5000)))
        #expect(failure.text.count == Limits.failureTextBytes)
    }

    @Test func theFirstErrorOfAMessageIsTheOneThatIsTold() {
        #expect(throws: ProtocolError.truncated) { try HostMessage(type: 8, payload: []) }
        // The kind is wrong, and the path that should follow is missing.
        #expect(throws: ProtocolError.outOfBounds(.kind)) { try HostMessage(type: 8, payload: [9]) }
    }
}
