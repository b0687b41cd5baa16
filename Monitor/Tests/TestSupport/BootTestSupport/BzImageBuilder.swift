/// Makes bzImages by hand, right ones and wrong ones.
public struct BzImageBuilder: Sendable {
    public var setupSectors: UInt8 = 7
    public var version: UInt16 = 0x20f
    public var loadFlags: UInt8 = 1
    public var extraLoadFlags: UInt16 = 3
    public var isRelocatable = true
    public var alignment: UInt32 = 0x20_0000
    public var preferredAddress: UInt64 = 0x100_0000
    public var initialBytes: UInt32 = 0x40_0000
    public var commandLineMaximumBytes: UInt32 = 2047
    public var initialRamDiskMaximumAddress: UInt32 = 0x7fff_ffff
    /// The protected-mode code; the 64-bit entry is 0x200 into it.
    public var code: [UInt8]

    public init(code: [UInt8] = (0..<9000).map { UInt8(truncatingIfNeeded: $0 &* 7) }) { self.code = code }

    public var bytes: [UInt8] {
        let setupBytes = (Int(setupSectors == 0 ? 4 : setupSectors) + 1) * 512
        var bytes = [UInt8](repeating: 0x90, count: setupBytes)
        for index in 0x1f1..<0x280 { bytes[index] = 0 }
        bytes[0x1f1] = setupSectors
        bytes.put(UInt32((code.count + 15) / 16), at: 0x1f4)
        bytes.put(UInt16(0xaa55), at: 0x1fe)
        bytes[0x200] = 0xeb
        bytes[0x201] = 0x6a
        bytes.put(UInt32(0x5372_6448), at: 0x202)
        bytes.put(version, at: 0x206)
        bytes[0x211] = loadFlags
        bytes.put(initialRamDiskMaximumAddress, at: 0x22c)
        bytes.put(alignment, at: 0x230)
        bytes[0x234] = isRelocatable ? 1 : 0
        bytes.put(extraLoadFlags, at: 0x236)
        bytes.put(commandLineMaximumBytes, at: 0x238)
        bytes.put(preferredAddress, at: 0x258)
        bytes.put(initialBytes, at: 0x260)
        return bytes + code
    }
}
