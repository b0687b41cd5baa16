/// The kernel's arguments.
public enum CommandLine {
    /// The user's arguments, with one `virtio_mmio.device=` for each device behind them.
    ///
    /// What follows a lone `--` is meant for the guest's first program, so devices are put before it.
    /// - Parameter maximumBytes: of the result, without the zero byte at its end.
    /// Source: Linux drivers/virtio/virtio_mmio.c, "<size>[KMG]@<baseaddr>:<irq>[:<id>]".
    public static func assemble(
        _ arguments: String, devices: [VirtioDeviceWindow], maximumBytes: Int
    ) throws(BootError) -> String {
        let bytes = Array(arguments.utf8)
        if bytes.contains(0) { throw .commandLineHasZeroByte }
        var result = bytes
        if !devices.isEmpty {
            let separator = startOfProgramArguments(bytes)
            result = Array(bytes[..<(separator ?? bytes.count)])
            for device in devices {
                if let last = result.last, last != space { result.append(space) }
                result += Array(argument(device).utf8)
            }
            if let separator {
                result.append(space)
                result += bytes[separator...]
            }
        }
        if result.count > maximumBytes { throw .commandLineTooLong(bytes: result.count, maximumBytes: maximumBytes) }
        return String(decoding: result, as: UTF8.self)
    }

    private static func argument(_ device: VirtioDeviceWindow) -> String {
        let length =
            device.lengthBytes % 1024 == 0 ? "\(device.lengthBytes / 1024)K" : hexadecimal(UInt64(device.lengthBytes))
        return "virtio_mmio.device=\(length)@\(hexadecimal(UInt64(device.start))):\(device.interrupt)"
    }

    private static let space = UInt8(ascii: " ")

    /// Where a lone `--` stands that no double quotes enclose.
    private static func startOfProgramArguments(_ bytes: [UInt8]) -> Int? {
        var isQuoted = false
        var wordStart = 0
        for (index, byte) in bytes.enumerated() {
            if byte == UInt8(ascii: "\"") { isQuoted.toggle() }
            guard !isQuoted, byte == space || byte == 9 || byte == 10 else { continue }
            if isSeparator(bytes, wordStart, index) { return wordStart }
            wordStart = index + 1
        }
        return isSeparator(bytes, wordStart, bytes.count) ? wordStart : nil
    }

    private static func isSeparator(_ bytes: [UInt8], _ start: Int, _ end: Int) -> Bool {
        end - start == 2 && bytes[start] == UInt8(ascii: "-") && bytes[start + 1] == UInt8(ascii: "-")
    }
}
