import AgentProtocol
import FileTransfer
import LinuxCalls

/// The root's device with the kernel's check of each block in front (dm-verity), and what the kernel says of damage.
///
/// Source: Linux `Documentation/admin-guide/device-mapper/verity.rst`; `verity_handle_err` in `drivers/md/dm-verity-target.c`
/// for the events, of which there are at most a hundred.
final class VerifiedDisk: EventHandler {
    private let events: KernelEvents
    private let device: VerityDevice
    private let number: ByteString
    /// Who is told.
    var listener: ControlConnection?

    /// Makes the device. The hash tree begins right behind the data.
    init(_ source: ByteString, _ verity: Verity) throws(Failure) {
        do throws(LinuxError) {
            // Listened to first: nothing is missed.
            events = try KernelEvents()
            let blocks = " " + ByteString(verity.dataBlocks)
            var parameters: ByteString = "1 "
            parameters += source
            parameters += " "
            parameters += source
            parameters += " 4096 4096"
            parameters += blocks
            parameters += blocks
            parameters += " sha256 "
            for byte in verity.rootHash {
                Self.append(byte >> 4, to: &parameters)
                Self.append(byte & 15, to: &parameters)
            }
            parameters += " -"
            device = VerityDevice(try FileTree.open(ByteString("/dev/mapper/control").bytes, .readWrite))
            number = ByteString(
                try device.make(
                    parameters: parameters.bytes, sectors: verity.dataBlocks * (Verity.blockBytes / 512)))
        } catch {
            throw Failure(.rootFileSystem, error, "dm-verity of " + source + " (is it in this kernel?)")
        }
    }

    var path: ByteString { "/dev/dm-" + number }
    var descriptor: Int32 { events.descriptor.number }

    func handleEvent(token: UInt32, readiness: Readiness) { drain() }

    /// Takes what the kernel has said until now.
    func drain() {
        // Bounded, for other devices have events as well; the loop comes back for the rest.
        for _ in 0..<1000 {
            do throws(LinuxError) {
                let message = try events.next()
                let name = "DEVNAME=dm-" + number
                guard let end = Self.end(of: name, in: message), message[end] == 0,
                    let place = Self.end(of: "DM_VERITY_ERR_BLOCK_NR=", in: message)
                else { continue }
                // Part and block, in digits, with a comma between; the kernel's word.
                var block: UInt64 = 0
                var index = place + 2
                while message[index] != 0 {
                    block = block &* 10 &+ UInt64(message[index] &- 0x30)
                    index += 1
                }
                tell(DiskDamage(message[place] == 0x30 ? .data : .hashTree, block: block))
            } catch {
                guard error == .noBufferSpace else { return }
                // Some are lost; perhaps ours.
                if (try? device.isDamaged()) == true { tell(DiskDamage(.unknown, block: 0)) }
            }
        }
    }

    /// A hexadecimal digit.
    @inline(never)
    private static func append(_ digit: UInt8, to text: inout ByteString) {
        text.bytes.append(digit + (digit < 10 ? 0x30 : 0x57))
    }

    private func tell(_ damage: DiskDamage) { listener?.send(.diskDamaged(damage)) }

    /// Where the first occurrence of a text ends, with room for two bytes behind it.
    private static func end(of text: ByteString, in message: [UInt8]) -> Int? {
        var matched = 0
        for index in message.indices.dropLast(2) {
            // No text has its own beginning in it, so that one which breaks off begins anew at this byte at the earliest.
            if message[index] != text.bytes[matched] { matched = 0 }
            if message[index] == text.bytes[matched] { matched += 1 }
            if matched == text.count { return index + 1 }
        }
        return nil
    }
}
