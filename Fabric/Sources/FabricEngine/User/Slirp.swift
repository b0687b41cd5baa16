import AgentProtocol
import FabricProtocol
import FabricRules
import LinuxCalls
import WireFormats

/// slirp4netns, the computer's own program, which has a device in the fabric and sockets of the user's outside. Source: slirp4netns(1).
struct Slirp {
    static let program = ByteString(WayOutProgram.path)
    /// Its own address on the link, that of the fabric's end, and how long their prefix is.
    static let outer = IPAddress(v4: 10, 189, 255, 2)
    static let inner = IPAddress(v4: 10, 189, 255, 100)
    static let prefixLength: UInt8 = 24
    /// It copies packets, so few long ones are quicker than many.
    static let maximumTransmissionUnit: UInt32 = 65520
    /// One that takes longer hangs, and the engine waits for it.
    private static let patienceMilliseconds: UInt64 = 5000
    private static let beginNanoseconds: UInt64 = 3_000_000_000
    private static let pauseNanoseconds: UInt64 = 2_000_000

    static var isInstalled: Bool { (try? FileTree.facts(program.bytes)).map { $0.mode & 0o111 != 0 } ?? false }

    /// - Parameter holder: who has the fabric's network open.
    static func arguments(_ folder: EngineFolder, holder: Int32) -> [ByteString] {
        [
            program, "--cidr=10.189.255.0/24", "--mtu=" + ByteString(UInt64(maximumTransmissionUnit)),
            // What listens for this computer alone, and whom it asks for names, are not the machines'.
            "--disable-host-loopback", "--disable-dns", "--enable-sandbox", "--enable-seccomp", "--exit-fd=0",
            "--api-socket=" + ByteString(folder.slirp), "--netns-type=path",
            ByteString("/proc/\(holder)/fd/\(NamespaceHolder.network)"), ByteString(RoutingRules.uplink),
        ]
    }

    /// A port of the computer that leads to one of the fabric's end of the link.
    struct Forward: Hashable {
        let transport: PublishedPort.Transport
        /// Nil: all of IPv4.
        let address: IPAddress?
        let port: UInt16
        let carrier: UInt16

        func hasSamePlace(as other: Forward) -> Bool {
            transport == other.transport && address == other.address && port == other.port
        }
    }

    private let folder: EngineFolder
    private var socket: String { folder.slirp }

    init(_ folder: EngineFolder) { self.folder = folder }

    /// Whether it runs, though it may have no time at the moment.
    var runs: Bool {
        do throws(LinuxError) {
            _ = try UnixSocket.connect(socket)
            return true
        } catch { return error == .tryAgain }
    }

    /// It has room for one who asks at a time, and takes requests a moment after its device is there.
    /// - Parameter waits: whether it may only just have begun.
    private func connect(waits: Bool) throws(LinuxError) -> FileDescriptor {
        let begin = Clock.monotonic.nanoseconds()
        while true {
            do throws(LinuxError) { return try UnixSocket.connect(socket) } catch {
                let patience =
                    error == .tryAgain
                    ? Self.patienceMilliseconds * 1_000_000 : waits && Self.isInstalled ? Self.beginNanoseconds : 0
                guard Clock.monotonic.nanoseconds() - begin < patience else { throw error }
            }
            sleep(nanoseconds: Self.pauseNanoseconds)
        }
    }

    /// Those that there are, with the numbers by which it knows them.
    /// - Parameter waits: whether it may only just have begun.
    func forwards(waits: Bool = false) throws(FabricFault) -> [Forward: Int64] {
        var forwards: [Forward: Int64] = [:]
        for entry in try ask("list_hostfwd", [], waits: waits)["entries"]?.elements ?? [] {
            guard let identifier = entry.integer("id"),
                let port = entry.integer("host_port").flatMap(UInt16.init(exactly:)),
                let carrier = entry.integer("guest_port").flatMap(UInt16.init(exactly:)),
                let transport = entry.text("proto").flatMap(PublishedPort.Transport.init(rawValue:))
            else { continue }
            let address = entry.text("host_addr").flatMap { IPAddress($0) }.flatMap { $0 == Self.any ? nil : $0 }
            forwards[Forward(transport: transport, address: address, port: port, carrier: carrier)] = identifier
        }
        return forwards
    }

    private static let any = IPAddress(v4: 0, 0, 0, 0)

    /// - Returns: whether the port could be had.
    func add(_ forward: Forward) throws(FabricFault) -> Bool {
        let answer = try ask(
            "add_hostfwd",
            [
                JSONMember("proto", .string(forward.transport.rawValue)),
                JSONMember("host_addr", .string((forward.address ?? Self.any).description)),
                JSONMember("host_port", .integer(Int64(forward.port))),
                JSONMember("guest_addr", .string(Self.inner.description)),
                JSONMember("guest_port", .integer(Int64(forward.carrier))),
            ])
        return answer["return"] != nil
    }

    func remove(_ identifier: Int64) throws(FabricFault) {
        _ = try ask("remove_hostfwd", [JSONMember("id", .integer(identifier))])
    }

    /// One that hangs is started anew, without any port.
    private func ask(
        _ call: String, _ arguments: [JSONMember], waits: Bool = false
    ) throws(FabricFault) -> JSONValue {
        var request: [UInt8] = []
        JSONValue.object([JSONMember("execute", .string(call)), JSONMember("arguments", .object(arguments))])
            .write(to: &request)
        let answer: [UInt8]
        do throws(LinuxError) {
            let connection = try connect(waits: waits)
            try setNonBlocking(connection.number, false)
            try setTimeouts(connection.number, milliseconds: Self.patienceMilliseconds)
            try writeAll(connection.number, request)
            shutDownSocket(connection.number, 1)
            answer = try FileTree.contents(connection.number, maximumBytes: JSONParser.maximumBytes)
        } catch {
            let hangs = error == .tryAgain
            if hangs { NamespaceHolder.renewWayOut(folder) }
            let what = hangs ? "hung, and is started anew; try again" : "does not answer: \(error)"
            throw FabricFault("\(Self.program), by which ports are published, \(what)")
        }
        guard let document = try? JSONParser.parse(answer) else {
            throw FabricFault("\(Self.program) answers what is no JSON")
        }
        return document
    }
}
