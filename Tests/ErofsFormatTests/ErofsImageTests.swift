import ErofsFormat
import FileTrees
import HostFiles
import Testing

#if canImport(Glibc)
    import Glibc
#endif

@Suite struct ErofsImageTests {
    @Test("a folder becomes a disk")
    func first() throws {
        guard let folder = unsafe getenv("SWL_TREE"), let out = unsafe getenv("SWL_OUT") else { return }
        let tree = try FileTree(scanning: HostPath(unsafe String(cString: folder)))
        let file = try HostFile(HostPath(unsafe String(cString: out)), [.readWrite, .create, .truncate])
        let summary = try ErofsImageWriter.write(tree, to: file)
        print(summary)
    }
}
