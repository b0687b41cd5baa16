import Archives
import HostFiles
import LinuxCalls

/// Images that stay though they lose their names: those that a machine on record is made of, or may go back to.
///
/// A hold is a file: a line with the path of its holder's folder, then one for each digest. It is worth as much as that
/// folder; when that is gone, the next clean-up takes the hold with it.
extension ImageStore {
    private static let mostHoldBytes = 64 << 10

    /// Keeps images for as long as the holder's folder is there, in place of those that it kept before. When this returns no
    /// other command takes them away, and a power loss does not either.
    /// - Parameter holder: the name of the hold, a file's name.
    /// - Throws: `.unknownImage` when one is not there any more; what was held before still is.
    public func hold(_ digests: Set<String>, for holder: String, in folder: String) throws(ImageError) {
        try whileLocked { () throws(ImageError) in
            let kept = try kept(by: index())
            if let missing = digests.subtracting(kept).min() {
                throw ImageError(.unknownImage, "the image \(missing) is not here any more; pull or import it again")
            }
            let lines = [folder] + digests.sorted()
            do throws(HostFileError) {
                try folders.holds.makeFolders()
                try folders.holds.appending(holder).replaceWhole(Array(lines.joined(separator: "\n").utf8))
            } catch {
                throw ImageError(error, in: .damagedStore)
            }
        }
    }

    /// The digests of the images that are there, with a name or without.
    func kept(by index: StoreDocuments.Index) -> Set<String> { held().union(index.names.values) }

    /// The digests that holders keep. With a hold that cannot be read, of every image that is there: nobody knows which it is.
    func held() -> Set<String> {
        var digests: Set<String> = []
        do throws(HostFileError) {
            for name in try folders.holds.folderNames() { digests.formUnion(try hold(name) ?? []) }
        } catch {
            if error.isAbsent { return digests }
            let records = (try? folders.records.folderNames()) ?? []
            return Set(
                records.compactMap { name in
                    SHA256Digest(hex: String(decoding: name, as: UTF8.self).prefix { $0 != "." }.lowercased())
                        .map(\.description)
                })
        }
        return digests
    }

    /// What a hold keeps; nil for one whose holder is gone.
    /// - Throws: when it is there and cannot be read, or holds what nobody has written.
    func hold(_ name: [UInt8]) throws(HostFileError) -> [String]? {
        let bytes: [UInt8]
        do throws(HostFileError) {
            bytes = try folders.holds.appending(name).readWhole(limit: Self.mostHoldBytes)
        } catch {
            // Let go of meanwhile.
            if error.isAbsent { return nil }
            throw error
        }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
        guard let folder = lines.first, folder.hasPrefix("/") else {
            throw HostFileError("read", folders.holds.appending(name), LinuxError.invalidArgument)
        }
        do throws(HostFileError) { _ = try HostPath(folder).status() } catch {
            if error.isMissing { return nil }
            throw error
        }
        return Array(lines.dropFirst())
    }
}
