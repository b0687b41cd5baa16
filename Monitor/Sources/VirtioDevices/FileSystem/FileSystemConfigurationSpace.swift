/// What the driver reads of a file system device: its tag, padded with zeroes, and how many queues take requests.
///
/// Layout: `tag` 0 (36 bytes), `num_request_queues` 36 (4 bytes). Source: virtio 1.3 §5.11.4.
struct FileSystemConfigurationSpace: Sendable {
    private static let tagBytes = 36
    private let tag: InlineArray<36, UInt8>

    init(tag text: String) {
        var tag = InlineArray<36, UInt8>(repeating: 0)
        var count = 0
        for byte in text.utf8 where count < Self.tagBytes {
            tag[count] = byte
            count += 1
        }
        self.tag = tag
    }

    func read(offset: UInt32, width: UInt32) -> UInt32 {
        var answer = ConfigurationAnswer(offset: offset, width: width)
        for index in 0..<Self.tagBytes { answer.place(UInt64(tag[index]), at: UInt32(index), width: 1) }
        answer.place(1, at: UInt32(Self.tagBytes), width: 4)
        return answer.value
    }
}
