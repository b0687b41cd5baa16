public import AgentProtocol
public import LinuxCalls
import Netlink

/// What happened to a link.
public enum LinkEvent: Equatable, Sendable {
    /// It is new, or something about it has changed.
    case changed(Link)
    /// It is gone from the namespace.
    case removed(index: UInt32, name: ByteString)
    /// More happened than the kernel kept: whoever wants to know how things are lists them anew.
    case lost
}

/// Tells of the links of the network namespace that the thread is in when this is made, from then on.
public struct LinkEvents: ~Copyable {
    private let socket: NetlinkSocket

    /// To be watched for being readable.
    public var descriptor: Int32 { socket.descriptor.number }

    public init() throws(LinuxError) {
        // RTMGRP_LINK
        socket = try NetlinkSocket(groups: 1)
    }

    /// What has happened since the last call, in its order; empty for nothing. Never waits.
    public func next() throws(LinuxError) -> [LinkEvent] {
        var events: [LinkEvent] = []
        // What comes without an end leaves time for other things: the descriptor stays readable.
        for _ in 0..<256 {
            do throws(LinuxError) {
                var messages = NetlinkMessages(try socket.receive())
                while let message = try messages.next() {
                    if let event = try Self.event(message) { events.append(event) }
                }
            } catch {
                if error == .tryAgain { return events }
                guard error == .noBufferSpace || error == .protocolError else { throw error }
                events.append(.lost)
            }
        }
        return events
    }

    /// Nil for what a bridge tells of a port: that it is no port any more looks like the end of the link.
    static func event(_ message: NetlinkMessage) throws(LinuxError) -> LinkEvent? {
        guard try message.number(at: 0) & 0xff == UInt32(AddressFamily.unspecified) else { return nil }
        switch message.type {
        case RouteMessage.newLink: return .changed(try Link(message))
        case RouteMessage.deleteLink:
            let link = try Link(message)
            return .removed(index: link.index, name: link.name)
        default: return nil
        }
    }
}
