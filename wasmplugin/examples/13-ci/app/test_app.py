import unittest

from app import answer


class Answer(unittest.TestCase):
    def test_it_says_its_version(self):
        self.assertEqual(answer("v1"), b"web v1\n")


if __name__ == "__main__":
    unittest.main()
