import WireFormats

/// One request of the guest, as far as the service cares. Source: RFC 9112, as narrow as Firecracker reads it.
struct MetadataRequest {
    enum Method: Equatable { case get, put, patch }

    /// What the bytes so far are.
    enum Outcome {
        case incomplete
        case request(MetadataRequest, byteCount: Int)
        /// No request; nothing behind it can be made out either.
        case refused(String)
    }

    var method = Method.get
    var path: [UInt8] = []
    var isOldVersion = false
    var acceptsJSON = false
    var token: ArraySlice<UInt8>?
    var tokenLifetime: (name: ArraySlice<UInt8>, value: ArraySlice<UInt8>)?
    /// The field by which a proxy tells of itself, as it was written.
    var forwarded: ArraySlice<UInt8>?
    /// The client sends nothing more after it.
    var isLast = false
    private var bodyBytes = 0

    /// Trust: none in the bytes, which are at most `limit`.
    static func parse(_ bytes: [UInt8], limit: Int) -> Outcome {
        guard let end = headEnd(bytes) else { return bytes.count >= limit ? .refused("Invalid request.") : .incomplete }
        var request = MetadataRequest()
        var start = 0
        while start < end {
            var stop = start
            while bytes[stop] != 0x0d || bytes[stop + 1] != 0x0a { stop += 1 }
            let fault = start == 0 ? request.readLine(bytes[start..<stop]) : request.readField(bytes[start..<stop])
            if let fault { return .refused(fault) }
            start = stop + 2
        }
        let total = end + 2 + request.bodyBytes
        guard total <= limit else { return .refused("Invalid request.") }
        return bytes.count < total ? .incomplete : .request(request, byteCount: total)
    }

    /// Where the empty line begins that ends the head.
    private static func headEnd(_ bytes: [UInt8]) -> Int? {
        guard bytes.count >= 4 else { return nil }
        for index in 0...(bytes.count - 4)
        where bytes[index] == 0x0d && bytes[index + 1] == 0x0a && bytes[index + 2] == 0x0d && bytes[index + 3] == 0x0a {
            return index + 2
        }
        return nil
    }

    /// - Returns: what is wrong with it.
    private mutating func readLine(_ line: ArraySlice<UInt8>) -> String? {
        let words = line.split(separator: 0x20, maxSplits: 2, omittingEmptySubsequences: false)
        guard words.count == 3, !words[1].isEmpty else { return "Invalid request." }
        if words[0].elementsEqual("GET".utf8) {
            method = .get
        } else if words[0].elementsEqual("PUT".utf8) {
            method = .put
        } else if words[0].elementsEqual("PATCH".utf8) {
            method = .patch
        } else {
            return "Unsupported HTTP method."
        }
        isOldVersion = Self.isSame(words[2], "HTTP/1.0")
        isLast = isOldVersion
        guard isOldVersion || Self.isSame(words[2], "HTTP/1.1") else {
            return "Unsupported HTTP version."
        }
        // A path, or a whole URL.
        var target = words[1]
        if target.count >= 7, Self.isSame(target.prefix(7), "http://") {
            target = target.dropFirst(7).drop { $0 != 0x2f }
        }
        if target.first == 0x2f { path = Array(target) }
        return nil
    }

    private mutating func readField(_ line: ArraySlice<UInt8>) -> String? {
        guard let colon = line.firstIndex(of: 0x3a) else {
            return Self.fault("Header is incorrectly formatted. Key: ", line)
        }
        var value = line[(colon + 1)...]
        while let first = value.first, first == 0x20 || first == 0x09 { value.removeFirst() }
        while let last = value.last, last == 0x20 || last == 0x09 { value.removeLast() }
        let name = line[..<colon]
        if Self.isSame(name, "accept") {
            acceptsJSON = value.elementsEqual("application/json".utf8)
        } else if Self.isSame(name, "connection") {
            if Self.isSame(value, "close") { isLast = true }
        } else if Self.isSame(name, "x-metadata-token") || Self.isSame(name, "x-aws-ec2-metadata-token") {
            token = value
        } else if Self.isSame(name, "x-metadata-token-ttl-seconds")
            || Self.isSame(name, "x-aws-ec2-metadata-token-ttl-seconds")
        {
            tokenLifetime = (name, value)
        } else if Self.isSame(name, "x-forwarded-for") {
            forwarded = name
        } else if Self.isSame(name, "content-length") {
            guard let number = Self.number(value), number <= 0xffff else {
                return Self.fault("Invalid value. Key:Content-Length; Value: ", value)
            }
            bodyBytes = Int(number)
        } else if Self.isSame(name, "transfer-encoding") {
            return Self.fault("Unsupported value. Key:Transfer-Encoding; Value:", value)
        }
        return nil
    }

    /// What is wrong with a field.
    @inline(never)
    static func fault(_ reason: String, _ bytes: ArraySlice<UInt8>) -> String {
        reason + text(bytes)
    }

    static func text(_ bytes: ArraySlice<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }

    /// Whether the bytes are the text, whatever the case of ASCII letters.
    @inline(never)
    private static func isSame(_ bytes: ArraySlice<UInt8>, _ text: String) -> Bool {
        guard bytes.count == text.utf8.count else { return false }
        var place = bytes.startIndex
        for wanted in text.utf8 {
            let byte = bytes[place]
            place += 1
            if byte == wanted { continue }
            guard byte ^ wanted == 0x20, byte | 0x20 >= 0x61, byte | 0x20 <= 0x7a else { return false }
        }
        return true
    }

    /// A number of at most 32 bits.
    @inline(never)
    static func number(_ bytes: ArraySlice<UInt8>) -> UInt64? {
        guard (1...10).contains(bytes.count) else { return nil }
        var number: UInt64 = 0
        for byte in bytes {
            guard byte >= 0x30, byte <= 0x39 else { return nil }
            number = number * 10 + UInt64(byte - 0x30)
        }
        return number <= 0xffff_ffff ? number : nil
    }
}
