public import AgentProtocol
import WireFormats

/// Where packets are looked at, as a capture's file says it.
public struct CapturePlace: Sendable {
    public var name: ByteString
    public var description: ByteString

    public init(name: ByteString, description: ByteString) {
        self.name = name
        self.description = description
    }
}

/// A frame as it was seen somewhere.
public struct CapturedFrame: Sendable {
    /// Since 1970.
    public var nanoseconds: UInt64
    /// Whether whoever is called by the place's name has sent it; otherwise it was sent to it.
    public var isOutgoing: Bool
    /// Its beginning, as much as is kept.
    public var bytes: [UInt8]
    /// All of it.
    public var length: Int

    public init(nanoseconds: UInt64, isOutgoing: Bool, bytes: [UInt8], length: Int) {
        self.nanoseconds = nanoseconds
        self.isOutgoing = isOutgoing
        self.bytes = bytes
        self.length = length
    }
}

/// The blocks of a capture's file. Source: draft-ietf-opsawg-pcapng.
public enum CaptureFile {
    /// The beginning: which file it is, and every place.
    public static func head(_ places: [CapturePlace], filter: ByteString, snapshotBytes: UInt32) -> [UInt8] {
        // Section Header Block: 1.0, of no said length; the program that wrote it.
        var bytes = block(0x0a0d_0d0a) { writer in
            writer.write(UInt32(0x1a2b_3c4d))
            writer.write(UInt32(1))
            writer.write(UInt64.max)
            option(4, "swiftlet capture", &writer)
            end(&writer)
        }
        for place in places {
            // Interface Description Block: Ethernet; its name, what it is, nanoseconds, what was looked for.
            bytes += block(1) { writer in
                writer.write(UInt32(1))
                writer.write(snapshotBytes)
                option(2, place.name, &writer)
                option(3, place.description, &writer)
                option(9, ByteString([9]), &writer)
                // As a text for libpcap.
                if !filter.isEmpty { option(11, ByteString([0]) + filter, &writer) }
                end(&writer)
            }
        }
        return bytes
    }

    /// Enhanced Packet Block, with the frame's direction.
    public static func packet(_ frame: CapturedFrame, at place: Int) -> [UInt8] {
        block(6) { writer in
            writer.write(UInt32(truncatingIfNeeded: place))
            time(frame.nanoseconds, &writer)
            writer.write(UInt32(truncatingIfNeeded: frame.bytes.count))
            writer.write(UInt32(truncatingIfNeeded: frame.length))
            padded(frame.bytes, &writer)
            // epb_flags: 1 inbound, 2 outbound.
            writer.write(UInt32(2 | 4 << 16))
            writer.write(UInt32(frame.isOutgoing ? 2 : 1))
            end(&writer)
        }
    }

    /// Interface Statistics Block: what came, and what of it there was no room for.
    public static func statistics(
        at place: Int, from begin: UInt64, to now: UInt64, frames: UInt64, drops: UInt64
    ) -> [UInt8] {
        block(5) { writer in
            writer.write(UInt32(truncatingIfNeeded: place))
            time(now, &writer)
            for (number, moment) in [(UInt32(2), begin), (3, now)] {
                writer.write(number | 8 << 16)
                time(moment, &writer)
            }
            for (number, count) in [(UInt32(4), frames), (5, drops)] {
                writer.write(number | 8 << 16)
                writer.write(count)
            }
            end(&writer)
        }
    }

    // MARK: Parts

    /// Its type, its length, what is in it, and its length again.
    private static func block(_ type: UInt32, _ content: (inout LittleEndianWriter) -> Void) -> [UInt8] {
        var writer = LittleEndianWriter()
        writer.write(type)
        writer.write(UInt32(0))
        content(&writer)
        let length = UInt32(truncatingIfNeeded: writer.bytes.count + 4)
        writer.write(length)
        writer.overwrite(length, at: 4)
        return writer.bytes
    }

    /// The upper half stands first.
    private static func time(_ nanoseconds: UInt64, _ writer: inout LittleEndianWriter) {
        writer.write(UInt32(truncatingIfNeeded: nanoseconds >> 32))
        writer.write(UInt32(truncatingIfNeeded: nanoseconds))
    }

    private static func option(_ number: UInt32, _ value: ByteString, _ writer: inout LittleEndianWriter) {
        writer.write(number | UInt32(truncatingIfNeeded: value.count) << 16)
        padded(value.bytes, &writer)
    }

    /// opt_endofopt
    private static func end(_ writer: inout LittleEndianWriter) { writer.write(UInt32(0)) }

    private static func padded(_ bytes: [UInt8], _ writer: inout LittleEndianWriter) {
        writer.writeBytes(bytes)
        while writer.bytes.count % 4 != 0 { writer.write(UInt8(0)) }
    }
}
