import AgentProtocol
import LinuxCalls

/// Who a command runs as.
struct Account: Equatable {
    var userID: UInt32
    var groupID: UInt32
    var supplementaryGroupIDs: [UInt32]
    var home: ByteString
}

/// The users and groups of an image, from its `/etc/passwd` and `/etc/group`.
///
/// Trust: the image wrote these files. Lines that do not parse are passed over; at most `maximumBytes` are read.
struct Accounts {
    static let maximumBytes = 1 << 20

    private let users: [[ByteString]]
    private let groups: [[ByteString]]

    init(passwd: [UInt8], group: [UInt8]) {
        users = Self.records(passwd, fields: 7)
        groups = Self.records(group, fields: 4)
    }

    /// Resolves `name`, `number`, `name:group` and `number:number`, as container engines do.
    ///
    /// A number needs no entry; a name does. With a group given, only it and `extra` count; otherwise also every group
    /// that lists the user.
    func account(_ specification: ByteString, extra: [ByteString]) throws(Failure) -> Account {
        let parts = specification.split(UInt8(ascii: ":"))
        guard parts.count <= 2 else {
            throw Failure(.unknownUser, text: "user \"" + specification + "\" has more than one colon")
        }
        let user = parts[0].isEmpty ? "0" : parts[0]
        let entry =
            users.first { $0[0] == user }
            ?? users.first { Self.number($0[2]) == Self.number(user) && Self.number(user) != nil }
        var account = Account(userID: 0, groupID: 0, supplementaryGroupIDs: [], home: "/")
        if let entry, let id = Self.number(entry[2]), let group = Self.number(entry[3]) {
            account.userID = id
            account.groupID = group
            account.home = entry[5].isEmpty ? "/" : entry[5]
        } else if let id = Self.number(user) {
            account.userID = id
            if id == 0 { account.home = "/root" }
        } else {
            throw Failure(.unknownUser, text: "user \"" + user + "\" is not in the image's /etc/passwd")
        }
        if parts.count == 2, !parts[1].isEmpty {
            account.groupID = try group(parts[1])
        } else if let name = entry?[0] {
            for record in groups where record[3].split(UInt8(ascii: ",")).contains(name) {
                if let id = Self.number(record[2]), id != account.groupID { account.supplementaryGroupIDs.append(id) }
                if account.supplementaryGroupIDs.count == 1024 { break }
            }
        }
        for name in extra {
            let id = try group(name)
            if !account.supplementaryGroupIDs.contains(id) { account.supplementaryGroupIDs.append(id) }
        }
        return account
    }

    private func group(_ name: ByteString) throws(Failure) -> UInt32 {
        for record in groups where record[0] == name { if let id = Self.number(record[2]) { return id } }
        if let id = Self.number(name) { return id }
        throw Failure(.unknownUser, text: "group \"" + name + "\" is not in the image's /etc/group")
    }

    private static func records(_ text: [UInt8], fields: Int) -> [[ByteString]] {
        var records: [[ByteString]] = []
        for line in text.split(separator: UInt8(ascii: "\n")) {
            let record = ByteString(line).split(UInt8(ascii: ":"))
            if record.count >= fields, !record[0].isEmpty { records.append(record) }
        }
        return records
    }

    /// A decimal number up to 2^32 - 2; the largest means "no one" to the kernel.
    static func number(_ text: ByteString) -> UInt32? {
        guard !text.isEmpty, text.count <= 10 else { return nil }
        var value: UInt64 = 0
        for digit in text.bytes {
            guard (0x30...0x39).contains(digit) else { return nil }
            value = value * 10 + UInt64(digit - 0x30)
        }
        return value < 0xffff_ffff ? UInt32(value) : nil
    }
}
